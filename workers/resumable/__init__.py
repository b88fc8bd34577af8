"""Work that survives a kill: checkpoints, partial sums, passes, and the pulse that asks for stops."""
