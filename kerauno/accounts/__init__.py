"""Users, numbers, departments, links to people. May import everything up to `oauth`."""
