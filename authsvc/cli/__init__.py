"""The commands of `authsvc`.

`main` has `serve` and the group of all; each other module has one group of commands.
"""
