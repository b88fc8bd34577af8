"""How a sweep stands, how fast it goes, and how that looks."""
