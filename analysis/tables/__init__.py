"""Findings as tables and sentences in plain text, CSV and LaTeX."""
