"""Encryption of stored secrets, and signing keys. May import `base`, `database` and `tables`."""
