"""What the constructor of each variant is called, in the spelling of `keras.applications`."""

from efficientnet_tf.arch.variants import VARIANTS

_SPELLED = {"edgetpu": "EdgeTPU", "condconv": "CondConv", "tpu": "TPU", "gpu": "GPU", "xl": "XL"}


def constructor_name(model_name: str) -> str:
    """`efficientnet-edgetpu-S` -> `EfficientNetEdgeTPUS`, `efficientnetv2-b0` -> `...V2B0`."""
    words = model_name.removeprefix("efficientnet").strip("-").split("-")
    return "EfficientNet" + "".join(_SPELLED.get(word, word.title()) for word in words)


# {"EfficientNetB0": "efficientnet-b0", ...}, in the order of the variants.
CONSTRUCTOR_NAMES = {constructor_name(name): name for name in VARIANTS}
