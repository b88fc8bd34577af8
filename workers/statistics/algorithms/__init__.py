"""The algorithms behind the statistics, which need TensorFlow: one file each, `measure(context, settings)`."""
