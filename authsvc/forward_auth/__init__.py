"""Protected sites: verify, access rules, and the way into a site. May import `web`."""
