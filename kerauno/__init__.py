"""The platform's records that both services work on."""
