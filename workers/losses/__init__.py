"""Losses as per-example values: no loss reduces; the mean is taken in `workers.network.risk` alone."""
