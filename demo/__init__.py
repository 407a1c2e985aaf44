"""The demonstration: the company goodcompany.local, a directory server for it, and a launcher."""
