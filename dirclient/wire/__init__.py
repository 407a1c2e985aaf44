"""LDAP as octets: BER, requests, answers, filters, distinguished names. May import `model`."""
