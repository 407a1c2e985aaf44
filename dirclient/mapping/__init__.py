"""LDAP entries become people and groups. May import everything from `model` to `connection`."""
