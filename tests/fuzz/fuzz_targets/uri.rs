//! Fuzzes [`websocket_rs_fuzz::uri`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| websocket_rs_fuzz::uri::run(data));
