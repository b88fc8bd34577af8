"""Records loaded and arranged by cell, with the paper's own table beside."""
