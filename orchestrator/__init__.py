"""Decide what runs, where, and what is left. No tensors."""
