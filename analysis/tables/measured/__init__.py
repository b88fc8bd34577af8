"""Tables of what was measured and paid for, cell by cell, and where it comes from."""
