"""Findings as figures, each with a name, a caption and files."""
