"""Sessions, throttle, user look-up, protected sites. May import everything up to `sync`."""
