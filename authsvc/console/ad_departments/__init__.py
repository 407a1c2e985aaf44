"""The tab AD Departments."""
