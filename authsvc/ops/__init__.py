"""Health and background tasks. May import `web`."""
