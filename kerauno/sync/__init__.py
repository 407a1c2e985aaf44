"""Directory settings, runs, lease, mirror of the directory. May import all up to `accounts`."""
