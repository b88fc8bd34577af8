"""SGD going on from the kept weights, watched: what `fork` and `tail` share."""
