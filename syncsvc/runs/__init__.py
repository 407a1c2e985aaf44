"""One run from its start to its end: read, plan, guard, apply. May import `applying`."""
