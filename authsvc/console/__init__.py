"""The administrators' console: a page parses, calls one function, renders."""
