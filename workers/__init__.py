"""Do one trial: train a network, keep it, measure it. Knows nothing of sweeps, Ray or reports."""
