"""Norms of every example's gradient over a whole split, and their rows."""
