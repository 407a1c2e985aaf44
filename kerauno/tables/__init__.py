"""Tables and nothing else. May import `base`."""
