"""Architectures as tables and arithmetic; nothing here imports TensorFlow or Keras."""
