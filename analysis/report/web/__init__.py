"""A page as plain values, and the templates that make HTML of them."""
