"""What is found in a sweep's records: its Table 1, its gaps, which law comes nearest."""
