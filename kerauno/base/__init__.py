"""The parts that every room needs. Imports nothing else of the product."""
