"""The aggregation job: from records to the derived views."""
