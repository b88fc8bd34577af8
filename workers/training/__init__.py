"""The training loop: epochs, checkpoints, convergence, randomness."""
