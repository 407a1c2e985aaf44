"""What the pages show, read from the records: one module for each page, functions of a session."""
