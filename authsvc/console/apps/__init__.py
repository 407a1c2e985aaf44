"""Apps: registration of OpenID Connect clients, and setup guides."""
