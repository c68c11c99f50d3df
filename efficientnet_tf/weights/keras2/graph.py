"""Builds the model that a configuration of Keras 2 describes, layer by layer.

Only classes that are named here are built, from numbers and texts; nothing is imported or looked up
by a name that the file says.
"""

import logging
from collections.abc import Callable, Mapping, Sequence

import keras

from efficientnet_tf.config import UserError
from efficientnet_tf.weights.keras2.layer_classes import built_in
from efficientnet_tf.weights.keras2.operations import known_lambda, node, operation
from efficientnet_tf.weights.keras2.own_layers import MODELS, layer_configs
from efficientnet_tf.weights.keras2.settings import translated

_WRAPPERS = {"TimeDistributed", "Bidirectional"}

_TRAINING = (
    "layer %r is called with training=False, which Keras 3 does not keep to while it trains: "
    "before training on, set trainable = False of the batch norm in it"
)
_log = logging.getLogger(__name__)

Layers = Mapping[str, keras.Layer]


def build_model(config: Mapping[str, object], layers: Layers, largest_side: int) -> keras.Model:
    """The model of Keras 3, with its own initial weights.

    Args:
      config: `{"class_name": ..., "config": ...}` of a functional model or a sequence.
      layers: what takes the place of a layer, by the name of that layer.
      largest_side: of any array of the file, `ModelFile.largest_side`.

    Raises:
      UserError: a layer or setting that has no translation.
    """
    return _Builder(layers, largest_side).model(config)


class _Builder:
    def __init__(self, layers: Layers, largest_side: int):
        self._layers = layers
        self._largest_side = largest_side

    def model(self, config: Mapping[str, object]) -> keras.Model:
        kind = config["class_name"]
        if kind not in MODELS:
            raise UserError(f"a model of class {kind}: written in Python, which the file lacks")
        return self._sequence(config) if kind == "Sequential" else self._functional(config)

    def _sequence(self, config: Mapping[str, object]) -> keras.Model:
        members = layer_configs(config)
        first = members[0]["config"] if members else {}
        shape = first.get("batch_input_shape") if isinstance(first, dict) else None
        layers = [self.layer(member) for member in members if member["class_name"] != "InputLayer"]
        if shape:
            layers.insert(0, keras.Input(batch_shape=shape, dtype=_dtype(first)))
        name = None if isinstance(config["config"], list) else config["config"].get("name")
        model = keras.Sequential(layers, name=name)
        if not model.built and "build_input_shape" in config["config"]:
            model.build(tuple(config["config"]["build_input_shape"]))
        return model

    def _functional(self, config: Mapping[str, object]) -> keras.Model:
        fields = config["config"]
        graph = _Graph(fields)
        waiting = [(member, list(member["inbound_nodes"])) for member in fields["layers"]]
        calls: dict[str, Callable] = {}
        while waiting:
            before = sum(len(nodes) + 1 for _, nodes in waiting)
            for member, nodes in waiting:
                name = member["name"]
                if member["class_name"] == "InputLayer" and name not in self._layers:
                    graph.outputs[name] = [_input(member["config"], name)]
                    continue
                call = calls.get(name) or calls.setdefault(name, self.layer(member))
                while nodes and graph.is_ready(nodes[0]):
                    tensors, arguments = graph.arguments(nodes.pop(0))
                    if arguments.get("training") is False:
                        _log.warning(_TRAINING, name)
                    graph.outputs.setdefault(name, []).append(call(tensors, **arguments))
            waiting = [
                (member, nodes)
                for member, nodes in waiting
                if nodes or member["name"] not in graph.outputs
            ]
            if sum(len(nodes) + 1 for _, nodes in waiting) == before:
                raise UserError(f"layer {waiting[0][0]['name']!r} is connected to nothing")
        return keras.Model(
            graph.tensors(fields["input_layers"]),
            graph.tensors(fields["output_layers"]),
            name=fields.get("name"),
        )

    def layer(self, member: Mapping[str, object]) -> Callable:
        kind, config = member["class_name"], member["config"]
        name = config["name"] if isinstance(config, dict) else member.get("name")
        if name in self._layers:
            return self._layers[name]
        if kind in MODELS:
            return self.model(member)
        if kind == "TFOpLambda":
            return operation(name, config["function"])
        if kind == "TensorFlowOpLayer":
            return node(member["name"], config)
        if kind == "Lambda":
            return known_lambda(config)
        if kind in _WRAPPERS:
            return self._wrapper(member)
        return built_in(member, self._largest_side)

    def _wrapper(self, member: Mapping[str, object]) -> keras.Layer:
        config = dict(member["config"])
        inner = self.layer(config.pop("layer"))
        config.pop("backward_layer", None)  # the same with go_backwards, unless a user made his own
        wrapper = getattr(keras.layers, member["class_name"])
        rest = translated({**member, "config": config}, wrapper, self._largest_side)
        return wrapper(inner, **rest)


class _Graph:
    """The tensors between the layers of one functional model.

    Attributes:
      outputs: by layer, what each of its calls returned, in the order of the calls.
    """

    def __init__(self, fields: Mapping[str, object]):
        self.outputs: dict[str, list] = {}
        self._calls = {m["name"]: len(m["inbound_nodes"]) for m in fields["layers"]}
        # A model that is called inside another counts its own making as the first call.
        self._first = dict.fromkeys(self._calls, 0)
        nodes = [node for member in fields["layers"] for node in member["inbound_nodes"]]
        for name, index, _ in _references([*nodes, fields["output_layers"]]):
            if index >= self._calls.get(name, 0) > 0:
                self._first[name] = 1

    def is_ready(self, node: Sequence) -> bool:
        return all(
            len(self.outputs.get(name, ())) > index - self._first.get(name, 0)
            for name, index, _ in _references(node)
        )

    def arguments(self, node: Sequence) -> tuple[object, dict[str, object]]:
        """The tensors that a call takes first, and its other arguments."""
        inputs = node if isinstance(node[0], list) else [node]
        tensors = [self._tensor(*reference[:3]) for reference in inputs]
        said = inputs[0][3] if len(inputs[0]) > 3 else {}
        named = {key: self._argument(value) for key, value in said.items() if value is not None}
        return tensors[0] if len(tensors) == 1 else tensors, named

    def tensors(self, references: Sequence) -> object:
        """What `input_layers` or `output_layers` name; one without a list is one tensor."""
        if references and isinstance(references[0], str):
            return self._tensor(*references)
        tensors = [self._tensor(*reference) for reference in references]
        return tensors[0] if len(tensors) == 1 else tensors

    def _argument(self, value: object) -> object:
        if _is_reference(value):
            return self._tensor(*value)
        if isinstance(value, dict):
            raise UserError(f"an argument of a layer is {value}: neither number, text nor tensor")
        return [self._argument(v) for v in value] if isinstance(value, list) else value

    def _tensor(self, name: str, index: int, number: int) -> object:
        outputs = self.outputs[name][index - self._first[name]]
        return outputs[number] if isinstance(outputs, list | tuple) else outputs


def _references(value: object):
    """Every `[layer, call, tensor]` in what describes calls."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from _references(inner)
    elif isinstance(value, list):
        if _is_reference(value[:3]):
            yield value[:3]
            yield from _references(value[3:])
        else:
            for inner in value:
                yield from _references(inner)


def _is_reference(value: object) -> bool:
    kinds = [str, int, int]
    return isinstance(value, list) and list(map(type, value)) == kinds


def _input(config: Mapping[str, object], name: str) -> object:
    if config.get("sparse") or config.get("ragged"):
        raise UserError(f"input {name!r} is sparse or ragged, which is not translated")
    return keras.Input(batch_shape=config["batch_input_shape"], dtype=_dtype(config), name=name)


def _dtype(config: Mapping[str, object]) -> str | None:
    dtype = config.get("dtype")
    return dtype if isinstance(dtype, str) and not dtype.startswith("mixed") else None
