"""Engine, prepared statements, bulk writes, the writer of SQLite. May import `base`."""
