"""Read a directory completely, and follow its changes. May import all up to `operations`."""
