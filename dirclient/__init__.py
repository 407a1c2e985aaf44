"""The directory client that both services share: no web, no SQL, the only importer of ldap3."""
