"""The parts that every page shares: errors, session, CSRF, headers, layout, request readers.

May import `i18n`, `signin` and `current_services`.
"""
