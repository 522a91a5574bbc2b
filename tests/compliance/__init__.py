"""Autobahn|Testsuite against our clients. See README.md."""
