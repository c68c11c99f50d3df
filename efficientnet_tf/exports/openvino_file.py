"""OpenVINO's intermediate representation."""

from collections import Counter
from pathlib import Path

import openvino
import tensorflow as tf

from efficientnet_tf.exports.network import ExportedNetwork


def write_openvino(network: ExportedNetwork, path: str) -> dict[str, int]:
    """Writes `model.xml` and `model.bin` from `image` to `probabilities`, with a free batch.

    Weights are kept in float32. Labels are in its run-time information, `model_info/labels`.

    Returns:
      How often each operator occurs, constants apart.
    """
    size = network.image_size
    spec = tf.TensorSpec([None, size, size, 3], tf.float32, "image")
    draft = str(Path(path).with_suffix(".draft.xml"))
    Path(path).parent.mkdir()
    network.model.export(draft, format="openvino", input_signature=[spec], verbose=False)
    model = openvino.Core().read_model(draft)
    model.output(0).tensor.set_names({"probabilities"})
    model.set_rt_info("\n".join(network.label_names), ["model_info", "labels"])
    openvino.save_model(model, path, compress_to_fp16=False)
    operators = Counter(op.get_type_name() for op in model.get_ordered_ops())
    del model  # it has the draft's weights open
    for suffix in (".xml", ".bin"):
        Path(draft).with_suffix(suffix).unlink()
    ends = ("Constant", "Parameter", "Result")
    return {name: count for name, count in operators.items() if name not in ends}
