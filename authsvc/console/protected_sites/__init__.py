"""Protected sites."""
