"""The sync service: it reads the directory, plans, and brings the records up to the plan.

Rooms, from the floor up; each may import the ones before it: `applying`, `runs`, `service`. `cli`
puts them together.
"""
