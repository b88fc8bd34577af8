"""A network, data set, loss and statistic of one's own: install it where the trials run, or set PYTHONPATH."""
