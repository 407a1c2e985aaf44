"""The sign-in decision over ports, its store and its limits. May import nothing of a web page."""
