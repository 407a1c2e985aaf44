"""HTTP requests to other hosts, and the addresses that they may go to. May import `base`."""
