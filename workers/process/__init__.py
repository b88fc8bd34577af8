"""A child process and its devices: fork server, pinning, environment, GPU memory, facts of a node."""
