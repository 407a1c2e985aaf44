"""The tab AD Credentials: settings, connection test, effect of a change."""
