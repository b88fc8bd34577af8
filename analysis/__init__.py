"""Conclude from records: load, aggregate, predict, query, report. No TensorFlow, no Ray."""
