"""That every text of every page can be translated, and that the catalogue has them all."""
