"""The commands behind the command line, between arguments and exit code."""
