"""Access of phones to the phone book."""
