"""Statistics of a kept model: one file each, `measure(context, settings) -> list[Measurement]`."""
