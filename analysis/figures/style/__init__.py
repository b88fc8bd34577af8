"""How figures look: fonts, axes, how cells are told apart, values on hover, and many cells in one panel."""
