"""The connection test, step by step. May import everything up to `snapshot`."""
