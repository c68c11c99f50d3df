"""The networks as Keras layers and functional models."""

# Before anything of this room: loading Keras imports the modules in `serializable.CLASSES`, and one
# that is half imported at that moment would lack its names.
import keras  # noqa: F401
