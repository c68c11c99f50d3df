"""Which part of an image speaks for a class: Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391).

The paper weighs each filter of the last convolution by the mean gradient of the class's logit, adds
the filters up, and keeps what is positive. These networks end in an average pooling over H x W and
one dense layer, so the gradient is, everywhere, that class's column of the kernel / (H W): it need
not be computed. What is left is CAM (Zhou et al. 2016, arXiv:1512.04150) and the ReLU.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from efficientnet_tf.config import UserError

_LAYERS = ("head", "avg_pool", "predictions")


def grad_cam(
    model: keras.Model, images: Any, classes: Sequence[int] | int | None = None
) -> np.ndarray:
    """A heat map of each image: how much each place adds to the logit of a class.

        model = en.build_model("efficientnet-b0", weights="noisy-student")
        heat = en.grad_cam(model, images)    # [N, 7, 7]; resize it to lay it over the image

    Without the ReLU the sum of a map would be the logit without its bias.

    Args:
      model: a network of this package with its classifier, ending in probabilities or logits.
      images: [N, H, W, 3], what the model takes.
      classes: one class for each image, or one for all; the likeliest of each by default.

    Returns:
      float32 [N, h, w], at least 0; h and w are H / 32 and W / 32, rounded up.

    Raises:
      UserError: a model without this package's classifier, or a class that it does not have.
    """
    layers = {layer.name: layer for layer in model.layers}
    if not all(name in layers for name in _LAYERS):
        raise UserError(f"grad_cam: {model.name} is not a network of this package with its top")
    head, _, predictions = (layers[name] for name in _LAYERS)
    inner = keras.Model(model.input, [head.output, predictions.output])
    features, logits = (
        keras.ops.convert_to_numpy(keras.ops.cast(output, "float32"))
        for output in inner(images, training=False)
    )
    kernel = keras.ops.convert_to_numpy(predictions.kernel).astype("float32")
    if classes is None:
        classes = logits.argmax(-1)
    if np.shape(classes) not in ((), (len(features),)):
        raise UserError(f"grad_cam: {len(classes)} classes for {len(features)} images")
    classes = np.broadcast_to(classes, len(features))
    if classes.min() < 0 or classes.max() >= kernel.shape[1]:
        raise UserError(f"grad_cam: classes are 0..{kernel.shape[1] - 1}, not {classes.tolist()}")
    evidence = np.einsum("nhwc,cn->nhw", features, kernel[:, classes])
    return np.maximum(evidence, 0) / (features.shape[1] * features.shape[2])
