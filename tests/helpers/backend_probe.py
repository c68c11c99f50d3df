"""Outputs and gradients of a saved network under whichever backend Keras runs on.

`test_backends.py` calls `measure` in its own process, and runs this file in another one:
`KERAS_BACKEND=jax python backend_probe.py model.keras inputs.npz results.npz`.
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

import keras
import numpy as np

import efficientnet_tf.nn.network  # noqa: F401  registers the layers for load_model


def _on_tensorflow(model, images, cotangent):
    import tensorflow as tf

    with tf.GradientTape() as tape:
        outputs = model(images)
        loss = tf.reduce_sum(outputs * cotangent)
    gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
    trained = model(images, training=True)
    return outputs, gradients, trained, [v.value for v in model.non_trainable_variables]


def _on_jax(model, images, cotangent):
    import jax

    def loss(trainable, frozen):
        outputs, _ = model.stateless_call(trainable, frozen, images)
        return (outputs * cotangent).sum(), outputs

    @jax.jit  # op by op JAX compiles for minutes
    def run(trainable, frozen):
        gradients, outputs = jax.grad(loss, has_aux=True)(trainable, frozen)
        trained, statistics = model.stateless_call(trainable, frozen, images, training=True)
        return outputs, gradients, trained, statistics

    trainable, frozen = model.trainable_variables, model.non_trainable_variables
    return run([v.value for v in trainable], [v.value for v in frozen])


def _on_torch(model, images, cotangent):
    outputs = model(images)
    (outputs * keras.ops.convert_to_tensor(cotangent)).sum().backward()
    gradients = [v.value.grad for v in model.trainable_variables]
    trained = model(images, training=True)
    return outputs, gradients, trained, [v.value for v in model.non_trainable_variables]


_RUN = {"tensorflow": _on_tensorflow, "jax": _on_jax, "torch": _on_torch}


def measure(model_path, inputs_path):
    """`{name: array}` of everything that must not depend on the backend."""
    model, inputs = keras.models.load_model(model_path), np.load(inputs_path)
    run = _RUN[keras.backend.backend()]
    outputs, gradients, trained, statistics = run(model, inputs["images"], inputs["cotangent"])
    results = {"inference": outputs, "training": trained}
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        results[f"gradient {variable.path}"] = gradient
    for variable, statistic in zip(model.non_trainable_variables, statistics, strict=True):
        if "moving" in variable.path:
            results[f"statistic {variable.path}"] = statistic
    return {name: keras.ops.convert_to_numpy(value) for name, value in results.items()}


if __name__ == "__main__":
    np.savez(sys.argv[3], **measure(*sys.argv[1:3]))
