"""The blocking client, under the names that `websockets` gives it."""
