"""The sync service: read, plan, apply, watch; no web."""
