"""Benchmarks of websocket_rs and its peers, side by side. See README.md."""
