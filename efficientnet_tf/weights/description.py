"""What is written beside weights, so that they can be used without anything else being known.

A run keeps it in files of its folder; `.keras`, `.weights.h5` and `.safetensors` files of ours
carry it inside, under the name `KEY`. A TF1 checkpoint has no place for it.
"""

import dataclasses
import json
import typing
from collections.abc import Sequence
from dataclasses import dataclass

from efficientnet_tf.arch import cost
from efficientnet_tf.config import DEFAULT_LOSS, BlockSpec, ModelConfig, UserError

KEY = "efficientnet_tf.json"

# What a damaged file may ask for at most. The largest variant has 480 million parameters in 150
# blocks.
_MAX_PARAMETERS, _MAX_BLOCKS = 1_000_000_000, 2_000
_LARGEST, _MAX_SIDE = 10**9, 20_000  # of any number; of an image, in pixels


@dataclass(frozen=True)
class Description:
    """The network that weights belong to, and where they come from.

    Attributes:
      network: what they were trained as; `num_classes` is the width of their classifier.
      label_names: one per class of the data, the background not among them; None if unknown.
      step: optimizer steps behind them, 0 if unknown.
      kind: `ema` for moving averages, `raw` for weights as the optimizer left them.
      loss: what they were trained by, a name of `TrainConfig.loss`.
    """

    network: ModelConfig
    label_names: tuple[str, ...] | None = None
    step: int = 0
    kind: str = "raw"
    loss: str = DEFAULT_LOSS

    def to_json(self) -> str:
        """One JSON object; `from_json` reads it."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes, where: str) -> "Description":
        """The inverse of `to_json`.

        Args:
          where: what to call the text in the error.

        Raises:
          UserError: it is not such an object.
        """
        fields = parsed(text, where)
        try:
            network = network_from_fields(fields.pop("network"), where)
            names = label_names_from(fields.pop("label_names"), where)
            description = cls(network, **fields)
            if not _has_its_types(description):
                raise TypeError
            return dataclasses.replace(description, label_names=names)
        except (TypeError, KeyError, AttributeError):
            raise UserError(f"{where} is damaged: not the description of a network") from None


def network_from_json(text: str, where: str) -> ModelConfig:
    """The network in a run's `model_params.txt`, one JSON object of `ModelConfig`'s fields."""
    return network_from_fields(parsed(text, where), where)


def network_from_fields(fields: object, where: str) -> ModelConfig:
    """A `ModelConfig` from what JSON makes of it.

    Raises:
      UserError: not the fields of one.
    """
    try:
        blocks = tuple(BlockSpec(**block) for block in fields["blocks"])
        rgb = {name: tuple(fields[name]) for name in ("mean_rgb", "stddev_rgb")}
        network = ModelConfig(**{**fields, "blocks": blocks, **rgb})
        sound = all(map(_has_its_types, (network, *blocks))) and _is_buildable(network)
    except (TypeError, KeyError, ValueError, ArithmeticError, IndexError):
        sound = False
    if not sound:
        raise UserError(f"{where} is damaged: not a model's fields")
    return network


def _has_its_types(record: object) -> bool:
    """Whether the fields of a dataclass are of the types it says, and its numbers are sizes."""
    hints = typing.get_type_hints(type(record))
    return all(_is_of(value, hints[name]) for name, value in vars(record).items())


def _is_of(value: object, hint: object) -> bool:
    if typing.get_origin(hint) is tuple:
        kinds = [kind for kind in typing.get_args(hint) if kind is not Ellipsis]
        return len(kinds) == 1 or len(value) == len(kinds) and all(map(_is_of, value, kinds))
    kinds = set(typing.get_args(hint)) or {hint}
    kinds |= {int} if float in kinds else set()
    is_size = type(value) not in (int, float) or 0 <= value <= _LARGEST
    return type(value) in kinds and is_size


def _is_buildable(network: ModelConfig) -> bool:
    """Whether it has blocks, and not so many or so large that they would fill the memory."""
    repeats = sum(block.num_repeat for block in network.blocks)
    if not repeats or repeats * max(network.depth_coefficient, 1) > _MAX_BLOCKS:
        return False
    if not 0 < network.input_size <= _MAX_SIDE:
        return False
    return cost.total(network).trainable <= _MAX_PARAMETERS


def label_names_from(names: object, where: str) -> tuple[str, ...] | None:
    """The names of classes from what JSON makes of them."""
    if names is None:
        return None
    if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise UserError(f"{where} is damaged: not a list of class names")
    return tuple(names)


def parsed(text: str | bytes, where: str) -> object:
    """`json.loads`; a `UserError` that names `where` if it is not JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # the latter for ten thousand brackets
        raise UserError(f"{where} is damaged: not JSON") from None
