"""Values and errors of the directory client. Imports nothing else of the product."""
