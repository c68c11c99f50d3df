"""A network as one graph with its weights as constants: the fastest that TensorFlow runs it."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from efficientnet_tf.exports.batch_parts import in_parts, pays_in_parts
from efficientnet_tf.nn.folding import fold_batch_norm


def inference_function(model: keras.Model) -> Callable[[Any], Any]:
    """A function of a trained model, with its weights of now and batch norm folded.

    It is what `model(x, training=False)` is but for rounding, and does not follow the model when
    that is trained on. Constant weights let TensorFlow put them in the order its kernels want once
    and for all, and merge convolutions with what follows them. On a processor a large batch is
    computed in parts, two of them at once.

    Args:
      model: functional or sequential, of one input.

    Returns:
      A function from a batch as the model takes it, array or tensor, to tensors in the structure of
      the model's output.

    Raises:
      UserError: a model that cannot be copied, see `fold_batch_norm`.
    """
    folded = fold_batch_norm(model)
    (tensor,) = folded.inputs
    spec = tf.TensorSpec(tensor.shape, tensor.dtype)
    whole = tf.function(lambda x: folded(x, training=False), autograph=False)
    concrete = whole.get_concrete_function(spec)
    frozen = convert_variables_to_constants_v2(concrete)
    run = in_parts(frozen, spec, frozen.outputs) if pays_in_parts(folded) else frozen
    structure = concrete.structured_outputs

    def infer(batch: Any) -> Any:
        outputs = run(tf.convert_to_tensor(batch, tensor.dtype))
        return tf.nest.pack_sequence_as(structure, outputs)

    return infer
