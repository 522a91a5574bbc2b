//! Fuzzes [`websocket_rs_fuzz::utf8`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| websocket_rs_fuzz::utf8::run(data));
