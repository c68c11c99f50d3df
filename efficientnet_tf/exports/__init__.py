"""Trained networks in the forms that others run."""
