"""Real servers for the tests: each on a loopback address of its own, gone when the test process is.

`samba` a Samba AD domain controller, `slapd` OpenLDAP, `postgres` PostgreSQL, `chromium` a
browser, `web` the product's own processes; `pki` makes the certificates.
"""
