"""The tab AD Users."""
