"""Plain mathematics: estimates and their errors, intervals, regression, linear dynamics of SGD."""
