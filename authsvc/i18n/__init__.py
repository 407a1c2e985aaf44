"""Translation and formatting of texts. Imports nothing else of the web service."""
