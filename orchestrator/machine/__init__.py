"""This process and its computer: streams, signals, processes, scratch folders, cores."""
