"""Processes of their own: a fork server and its children, questions answered apart, facts of plugins and nodes."""
