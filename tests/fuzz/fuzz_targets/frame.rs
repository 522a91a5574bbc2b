//! Fuzzes [`websocket_rs_fuzz::frame`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| websocket_rs_fuzz::frame::run(data));
