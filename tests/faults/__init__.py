"""What each fault of database, processes and clocks costs people, measured on real parts."""
