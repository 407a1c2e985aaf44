"""A person's own pages: home, phone book, own departments. May import `web`."""
