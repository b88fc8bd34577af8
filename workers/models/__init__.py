"""Networks as plain Keras functional models that end in raw outputs (logits): one file each."""
