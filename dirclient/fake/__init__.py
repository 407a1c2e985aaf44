"""A directory in memory, behind the same ports as the real one. Used by tests and by the demo."""
