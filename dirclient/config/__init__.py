"""The connection profile, its presets and the ports of the client. May import `model`, `wire`."""
