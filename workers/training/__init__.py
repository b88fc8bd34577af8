"""The training loop, and everything that decides a step."""
