"""What the user says about TLS, as plain values for the core."""
