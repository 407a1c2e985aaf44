"""Measure the cost of faults of database, processes and clocks, on real parts."""
