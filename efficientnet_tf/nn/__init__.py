"""The networks as Keras layers and functional models."""

import keras  # noqa: F401  Loading Keras registers this room's classes: not amid their imports.
