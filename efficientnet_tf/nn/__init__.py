"""The networks as Keras layers and functional models."""
