"""The platform's records, on which both services work. It knows no web and no LDAP.

Rooms, from the floor up; each may import the ones before it:

base        errors, validation, look-up keys, clock, settings, logging
outgoing    HTTP requests that leave, and the addresses that they may go to
database    engine, prepared statements, bulk writes, the writer of SQLite
tables      tables and nothing else; `migrations` brings a database up to them
secrets     encryption of what is stored, signing keys
oauth       apps, tokens, consents, devices, the queue of logout messages
accounts    users, the dial plan, departments, links to people, revoking access
sync        directory settings, runs, the lease, the mirror of the directory
signin      sessions, the throttle, user look-up, protected sites

`audit` stands on `tables`, `cli_base` on `database` and `secrets`.
"""
