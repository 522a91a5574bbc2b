//! Fuzzes [`websocket_rs_fuzz::extension`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| websocket_rs_fuzz::extension::run(data));
