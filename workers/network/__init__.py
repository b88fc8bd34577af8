"""One Keras network as a function of its weights: risk, derivatives, batch norm, soundness."""
