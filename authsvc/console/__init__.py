"""The administrators' console, one room for each tab.

Each tab has `views` (parse, call one function, render) and `queries` (read rows for a page). All
may import `base`, `labels` and `pagination`; `setup` puts the tabs together.
"""
