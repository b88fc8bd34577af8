"""Squared norms of every example's gradient, parameter by parameter: one rule a Keras layer."""
