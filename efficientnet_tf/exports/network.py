"""What every format is made of: a folded network with probabilities, and its class names."""

from collections.abc import Sequence
from dataclasses import dataclass

import keras

from efficientnet_tf.arch.variants import VARIANTS
from efficientnet_tf.config import UserError
from efficientnet_tf.imagenet import class_names
from efficientnet_tf.nn.block import Block
from efficientnet_tf.nn.condconv import CondConv2D, DepthwiseCondConv2D
from efficientnet_tf.nn.folding import fold_batch_norm
from efficientnet_tf.nn.normalization import Normalization
from efficientnet_tf.nn.quantization import has_ranges, is_quantized

_NORMALISES = (Normalization, keras.layers.Normalization, keras.layers.Rescaling)


@dataclass(frozen=True)
class ExportedNetwork:
    """A trained network, ready to be written.

    Attributes:
      model: from images, float32 [N, S, S, 3], RGB in 0..255, to probabilities, float32 [N, C];
        without batch norm.
      original: the same with the layers and weights it came with, which exports are compared with.
      label_names: one for each of the C outputs.
      resize_method: `bicubic` or `bilinear`, by which its pictures were resized.
    """

    model: keras.Model
    original: keras.Model
    label_names: tuple[str, ...]
    resize_method: str

    @property
    def image_size(self) -> int:
        """Side of the input in pixels."""
        return self.model.input_shape[1]

    @property
    def mixes_kernels(self) -> bool:
        """Whether it has CondConv."""
        kinds = (CondConv2D, DepthwiseCondConv2D)
        return any(isinstance(layer, kinds) for layer in self.model._flatten_layers())

    @property
    def has_learned_ranges(self) -> bool:
        """Whether it was trained for int8, by `quantize_aware`."""
        return is_quantized(self.model)

    @property
    def suggestion(self) -> str | None:
        """A network that loses less in whole numbers, None if this is one."""
        layers = self.original._flatten_layers()
        if not any(isinstance(layer, Block) and layer.plan.se_filters for layer in layers):
            return None
        number = self.model.name.removeprefix("efficientnet-b")
        return f"efficientnet-lite{min(int(number), 4) if number.isdigit() else 0}"


def exported_network(
    model: keras.Model,
    label_names: Sequence[str] | None = None,
    resize_method: str | None = None,
) -> ExportedNetwork:
    """A copy of a model with its weights of now; see `exporting.export` for the arguments.

    Raises:
      UserError: a model of other inputs or outputs than those of a classifier of RGB images.
    """
    _check(model)
    if not has_ranges(model):
        raise UserError(f"{model.name} has not learned its ranges of int8 yet: train it first")
    classes = model.output_shape[-1]
    names = class_names(classes, label_names)
    if label_names and len(label_names) not in (classes, classes - 1):
        raise UserError(f"{len(label_names)} label_names for a model of {classes} classes")
    variant = VARIANTS.get(model.name)
    method = resize_method or (variant.resize_method if variant else "bicubic")
    folded = _with_probabilities(fold_batch_norm(model))
    return ExportedNetwork(folded, _with_probabilities(model), tuple(names), method)


def _with_probabilities(model: keras.Model) -> keras.Model:
    """The model, followed by a softmax if it ends in logits."""
    if getattr(model.layers[-1], "activation", None) is not keras.activations.linear:
        return model
    outputs = keras.layers.Softmax(name="probabilities")(model.output)
    return keras.Model(model.input, outputs, name=model.name)


def _check(model: keras.Model) -> None:
    if len(model.inputs) != 1 or len(model.outputs) != 1 or len(model.output_shape) != 2:
        raise UserError(f"{model.name}: only classifiers are exported, from an image to one output "
                        "[N, classes]")  # fmt: skip
    shape = model.input_shape
    if len(shape) != 4 or shape[1] is None or shape[1] != shape[2] or shape[3] != 3:
        raise UserError(f"{model.name} takes {shape}: only square RGB images of a fixed size are "
                        "exported; build it with input_shape=(S, S, 3)")  # fmt: skip
    layers = list(model._flatten_layers())
    if not any(isinstance(layer, _NORMALISES) for layer in layers):
        raise UserError(f"{model.name} does not normalise its images: build it with "
                        "include_preprocessing=True")  # fmt: skip
    types = {layer.compute_dtype for layer in layers} - {"float32"}
    if types:
        raise UserError(f"{model.name} computes in {', '.join(sorted(types))}: build it in float32 "
                        "and give it the same weights")  # fmt: skip
