"""Steps and evaluation as compiled functions, and everything that decides a step."""
