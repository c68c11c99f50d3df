"""Sets the weights of a rebuilt model: all of them, each once.

Inside of a nested model weights are found by the names of layer and variable. Where names are not
those of the layers (renamed layers, two networks made in one process) their order decides, which is
Keras 2's: the trainable ones of all layers, then the others.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import keras
import numpy as np

from efficientnet_tf.config import UserError
from efficientnet_tf.weights.assignment import listing
from efficientnet_tf.weights.keras2.model_file import ModelFile
from efficientnet_tf.weights.keras2.own_layers import layer_configs


@dataclass(frozen=True)
class _Slot:
    """A variable of the model and what a file may call it."""

    owner: str
    leaf: str
    variable: keras.Variable
    is_trainable: bool

    def takes(self, name: str, array: np.ndarray) -> bool:
        leaf = _owner_and_leaf(name)[1]
        is_named = leaf in (self.leaf, f"depthwise_{self.leaf}")
        return is_named and array.shape == tuple(self.variable.shape)


def assign(model: keras.Model, file: ModelFile) -> None:
    """Sets every weight of `model`, or none.

    Raises:
      UserError: weights that are missing, left over or of another shape.
    """
    pairs = []
    names = {layer.name for layer in model.layers}
    over = [name for name, held in file.arrays.items() if held and name not in names]
    if over:
        raise UserError(listing("layers with weights not in the model", over))
    for layer, config in _layers_and_configs(model, file.config):
        slots = list(_slots(layer, config))
        pairs += _matched(layer.name, slots, file.arrays.get(layer.name, []))
    for slot, array in pairs:
        slot.variable.assign(array)


def _matched(
    layer: str, slots: list[_Slot], held: list[tuple[str, np.ndarray]]
) -> list[tuple[_Slot, np.ndarray]]:
    if len(slots) != len(held):
        raise UserError(f"layer {layer!r} has {len(slots)} weights, and {len(held)} in the file")
    by_name = {_owner_and_leaf(name): (name, array) for name, array in held}
    found = [
        by_name.get((slot.owner, slot.leaf)) or by_name.get((slot.owner, f"depthwise_{slot.leaf}"))
        for slot in slots
    ]
    if len(by_name) < len(held) or None in found:
        slots = [s for s in slots if s.is_trainable] + [s for s in slots if not s.is_trainable]
        found = held
    for slot, (name, array) in zip(slots, found, strict=True):
        if not slot.takes(name, array):
            raise UserError(
                f"layer {layer!r}: {name} of shape {array.shape} does not fit "
                f"{slot.owner}/{slot.leaf} of shape {tuple(slot.variable.shape)}"
            )
    return [(slot, array) for slot, (_, array) in zip(slots, found, strict=True)]


def _owner_and_leaf(name: str) -> tuple[str, str]:
    """`bidirectional/forward_lstm/lstm_cell/kernel:0` -> `("lstm_cell", "kernel")`."""
    *_, owner, leaf = f"/{name}".split("/")
    return owner, leaf.rpartition(":")[0] or leaf


def _slots(layer: keras.Layer, config: Mapping[str, object]) -> Iterator[_Slot]:
    if isinstance(layer, keras.layers.TimeDistributed):
        layer, config = layer.layer, config["config"]["layer"]
    if isinstance(layer, keras.Model):
        for inner, inner_config in _layers_and_configs(layer, config):
            yield from _slots(inner, inner_config)
        return
    trainable = {id(variable) for variable in layer.trainable_weights}
    for variable in [*layer.trainable_weights, *layer.non_trainable_weights]:
        owner, leaf = _owner_and_leaf(variable.path)
        yield _Slot(owner, leaf, variable, id(variable) in trainable)


def _layers_and_configs(
    model: keras.Model, config: Mapping[str, object]
) -> Iterator[tuple[keras.Layer, Mapping[str, object]]]:
    """The layers of a model in the file's order, which is that of its weights."""
    layers = {layer.name: layer for layer in model.layers}
    for member in layer_configs(config):
        name = member.get("name") or member["config"]["name"]
        if name in layers:
            yield layers[name], member
