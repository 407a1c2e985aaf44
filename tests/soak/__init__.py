"""Everyday use for a long time: whatever then still grows is a fault. See `__main__`."""
