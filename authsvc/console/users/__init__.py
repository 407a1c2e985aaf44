"""Users: list, form, the tab Active Directory of a user, timeline, JSON."""
