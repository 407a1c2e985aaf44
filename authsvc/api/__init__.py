"""/api/v1, apart from the console's own JSON. May import `web`."""
