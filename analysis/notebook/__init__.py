"""A store as a notebook sees it: frames, SQL, Table 1, figures and kept models."""
