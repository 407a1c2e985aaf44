"""Carry out a plan: users, departments, mirror, access; and undo. May import `provisioning`."""
