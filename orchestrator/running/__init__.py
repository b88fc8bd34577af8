"""One run from start to end: preflight, waves of tasks, the foreground, verification."""
