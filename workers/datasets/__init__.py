"""Data sets as arrays: one file each; no TensorFlow, so that a planner may load and digest them."""
