//! Fuzzes [`websocket_rs_fuzz::deflate_roundtrip`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| websocket_rs_fuzz::deflate_roundtrip::run(data));
