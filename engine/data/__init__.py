"""Market data of the week and of the day: which symbols, which sessions, which bars."""
