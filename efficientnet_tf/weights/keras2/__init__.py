"""Whole models that Keras 2 wrote, rebuilt in Keras 3; nothing in the file is run."""
