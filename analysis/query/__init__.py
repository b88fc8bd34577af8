"""Read-only SQL over the views, and the formats of its results."""
