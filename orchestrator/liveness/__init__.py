"""Who lives and who was asked to stop, by the store alone."""
