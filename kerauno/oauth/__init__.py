"""Apps, tokens, consents, devices, logout messages. May import everything up to `secrets`."""
