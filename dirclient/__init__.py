"""The directory client: everything that speaks LDAP. It knows no web and no SQL.

Rooms, from the floor up; each may import the ones before it:

model        values and errors: people, snapshots, sign-in names, deadlines
wire         LDAP messages as octets, filters, distinguished names
config       the connection profile, presets for AD and OpenLDAP, the ports that others use
connection   one connection, the pool, TLS, the health of servers
mapping      an LDAP entry becomes a person or a group
operations   one question each: bind, find, search base, lockout policy, root DSE
snapshot     the complete read, and following changes
probe        the connection test
fake         the same ports in memory, for tests

`client` puts them together.
"""
