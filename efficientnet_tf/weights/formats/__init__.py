"""One file for each format of weights."""
