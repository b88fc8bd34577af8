"""Plan minus store: from a sweep file to what is missing, what it takes and where it fits."""
