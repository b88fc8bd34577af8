"""Gradient noise by probes and vectors: what `noise_curvature`, `spectrum` and `batch_noise` draw."""
