"""The paper's claims about its table and its figures, held against a sweep."""
