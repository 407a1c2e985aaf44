"""The sign-in form with every outcome, password change, Kerberos. May import `web`."""
