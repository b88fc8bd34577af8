"""Processes that carry out orders: a server that forks them, and what each of them does."""
