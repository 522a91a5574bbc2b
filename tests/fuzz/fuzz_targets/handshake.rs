//! Fuzzes [`websocket_rs_fuzz::handshake`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| websocket_rs_fuzz::handshake::run(data));
