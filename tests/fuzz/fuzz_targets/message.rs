//! Fuzzes [`websocket_rs_fuzz::message`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| websocket_rs_fuzz::message::run(data));
