"""Statistics of a kept model: one file each, with its settings and what it declares of itself."""
