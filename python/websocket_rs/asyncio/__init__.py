"""The asyncio client, under the names that `websockets` gives it."""
