"""An order carried out: train, measure, keep the model, and name what failed."""
