"""One question to the directory in each module. May import everything up to `mapping`."""
