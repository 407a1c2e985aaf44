"""The loop of `syncsvc serve`: timer, change tracking, requests. May import `runs`."""
