"""The weights published with the papers: which exist, and how to fetch them."""
