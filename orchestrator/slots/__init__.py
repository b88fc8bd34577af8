"""One place for a trial: its tasks, its attempts, its failures, and what its loss leaves behind."""
