"""Decide who is built, and why somebody is not: people and records become a plan. Pure.

Sync, console and connection test all ask here. Only `records` reads the database. May import
`dirclient` (its values and ports) and `kerauno`.
"""
