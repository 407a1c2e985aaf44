"""Security > Throttle."""
