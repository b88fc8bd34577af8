"""Data sets as they are used: loaded, checked, and known by their facts."""
