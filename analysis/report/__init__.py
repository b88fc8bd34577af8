"""The report: one page that holds figures, tables and sentences of a sweep."""
