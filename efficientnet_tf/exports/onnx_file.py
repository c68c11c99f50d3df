"""ONNX files."""

import contextlib
import io
import logging
import warnings
from collections import Counter

import onnx
import tensorflow as tf

from efficientnet_tf.config import UserError
from efficientnet_tf.exports.network import ExportedNetwork

# The newest that tf2onnx writes; ONNX Runtime has had it since 1.14, of 2023.
OPSET = 18


def write_onnx(network: ExportedNetwork, path: str) -> dict[str, int]:
    """Writes a file of opset 18 from `image`, float32 [batch, S, S, 3], to `probabilities`.

    The batch is free. Labels are in its properties, `labels`, one a line.

    Returns:
      How often each operator occurs.

    Raises:
      UserError: the network needs operators that ONNX does not have.
    """
    size = network.image_size
    spec = tf.TensorSpec([None, size, size, 3], tf.float32, "image")
    with _quiet():
        network.model.export(
            path, format="onnx", input_signature=[spec], opset_version=OPSET, verbose=False
        )
    model = onnx.load(path)
    domains = {node.domain for node in model.graph.node} - {"", "ai.onnx.ml"}
    if domains:
        raise UserError(f"needs operators that ONNX does not have: {', '.join(sorted(domains))}")
    _name_ends(model.graph)
    onnx.helper.set_model_props(model, {"labels": "\n".join(network.label_names)})
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    return dict(Counter(node.op_type for node in model.graph.node))


def _name_ends(graph: onnx.GraphProto) -> None:
    """Gives the output and the free batch names that say what they are."""
    old = graph.output[0].name
    for node in graph.node:
        node.output[:] = ["probabilities" if name == old else name for name in node.output]
        node.input[:] = ["probabilities" if name == old else name for name in node.input]
    graph.output[0].name = "probabilities"
    for value in (graph.input[0], graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"


@contextlib.contextmanager
def _quiet():
    """Keeps away what tf2onnx and TensorFlow write of every step."""
    logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
