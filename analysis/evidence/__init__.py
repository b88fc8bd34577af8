"""What laws and tests are given of each cell, and whether what they assume holds."""
