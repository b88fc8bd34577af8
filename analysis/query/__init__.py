"""Read-only SQL over the views, the formats of its results, and the SQL beside each figure."""
