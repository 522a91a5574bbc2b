//! Fuzzes [`websocket_rs_fuzz::inflate`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| websocket_rs_fuzz::inflate::run(data));
