"""Connections to directory servers: opening, TLS, pool, health, result codes.

May import `model`, `wire` and `config`.
"""
