"""The tab Sync Runs: list, plan, progress, statistics."""
