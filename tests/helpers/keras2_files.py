"""Writes `tests/data/keras2.zip`: small whole models of Keras 2, with inputs and outputs.

Run it where Keras 2 is: `pip install tensorflow-cpu==2.15.1 efficientnet==1.1.1`, then
`python tests/helpers/keras2_files.py tests/data/keras2.zip`.
"""

import math
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np

SIDE = 32
STAGES = (  # kernel, repeats, filters in and out, expansion, stride
    (3, 1, 32, 16, 1, 1),
    (5, 2, 16, 24, 3, 2),
)
WIDTH = 0.25


def applications_network(**kwargs):
    import keras.src.applications.efficientnet as applications

    names = ("kernel_size", "repeats", "filters_in", "filters_out", "expand_ratio", "strides")
    stages = [dict(zip(names, s, strict=True), id_skip=True, se_ratio=0.25) for s in STAGES]
    return applications.EfficientNet(
        WIDTH,
        1.0,
        SIDE,
        blocks_args=stages,
        weights=None,
        include_top=False,
        input_shape=(SIDE, SIDE, 3),
        model_name="efficientnetb0",
        **kwargs,
    )


def package_network():
    """Of the `efficientnet` package: `FixedDropout`, no preprocessing inside."""
    import keras
    from efficientnet import init_tfkeras_custom_objects, model

    init_tfkeras_custom_objects()
    stages = [model.BlockArgs(k, n, i, o, e, True, [s] * 2, 0.25) for k, n, i, o, e, s in STAGES]
    modules = {name: getattr(keras, name) for name in ("backend", "layers", "models", "utils")}
    return model.EfficientNet(
        WIDTH,
        1.0,
        SIDE,
        blocks_args=stages,
        weights=None,
        include_top=False,
        input_shape=(SIDE, SIDE, 3),
        **modules,
    )


def sequence():
    """A frozen network inside; trained, so that there is an optimizer's state."""
    from keras import Sequential, layers

    network = applications_network()
    network.trainable = False
    return Sequential(
        [
            network,
            layers.GlobalMaxPooling2D(),
            layers.BatchNormalization(),
            layers.Dense(8, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(4, activation="softmax"),
        ]
    )


def with_preprocessing():
    """The network as one layer, called with `training=False`, half of it trainable."""
    from keras import Input, Model, Sequential, layers, regularizers

    augment = Sequential([layers.RandomFlip("horizontal"), layers.RandomRotation(0.1)], "augment")
    images = Input((40, 40, 3))
    x = layers.Resizing(SIDE, SIDE)(augment(images))
    x = layers.Rescaling(1 / 127.5, offset=-1)(x)
    x = layers.Rescaling(127.5, offset=127.5)(x)
    x = layers.Normalization(name="of_the_data")(x)
    x = layers.Rescaling(200.0)(x)
    network = applications_network(pooling="avg")
    for layer in network.layers[:20]:
        layer.trainable = False
    x = network(x, training=False)
    x = layers.Dense(6, activation="swish", kernel_regularizer=regularizers.l2(1e-4))(x)
    return Model(images, layers.Dense(3)(layers.LeakyReLU(0.1)(x)))


def flat():
    from keras import Model, layers

    network = package_network()
    x = layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(network.output))
    return Model(network.input, layers.Dense(5)(x))


def with_operations():
    """Arithmetic of TensorFlow between layers."""
    import tensorflow as tf
    from keras import Input, Model, layers

    images = Input((SIDE, SIDE, 3))
    x = applications_network()((images / 127.5 - 1.0) * 127.5 + 127.5)
    return Model(images, layers.Dense(3)(tf.nn.relu(tf.reduce_mean(x, [1, 2]))))


def with_lambda():
    from keras import Sequential, layers

    return Sequential(
        [applications_network(pooling="avg"), layers.Lambda(lambda x: x / 2), layers.Dense(3)]
    )


def randomise(model):
    """Every weight away from its initial value, such that two images differ in the outputs."""
    random = np.random.default_rng(0)
    for variable in model.weights:
        name, shape = variable.name.split(":")[0], variable.shape
        if name.endswith(("gamma", "variance")):
            variable.assign(random.uniform(0.5, 1.5, shape))
        elif f"/{name}".endswith("/mean"):
            variable.assign(random.uniform(0.2, 0.5, shape))  # of pixels
        elif name.endswith(("beta", "bias", "moving_mean")):
            variable.assign(random.normal(0, 0.1, shape))
        elif name.endswith("kernel"):
            *window, inputs, outputs = shape
            fan_in = math.prod(window) * (1 if outputs == 1 else inputs)  # 1: depthwise
            variable.assign(random.normal(0, 1.4 / math.sqrt(fan_in), shape))


def finalize(model):
    """Normalization layers of Keras 2 compute with a copy of their statistics."""
    for layer in model.layers:
        if hasattr(layer, "layers"):
            finalize(layer)
        elif hasattr(layer, "finalize_state"):
            layer.finalize_state()


def main(target):
    cases = (sequence, with_preprocessing, flat, with_operations, with_lambda)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for case in cases:
            model = case()
            randomise(model)
            finalize(model)
            shape = (2, *model.input_shape[1:])
            images = np.random.default_rng(1).integers(0, 256, shape).astype("uint8")
            if case is sequence:
                model.compile("adam", "sparse_categorical_crossentropy")
                model.fit(images.astype("float32"), np.arange(2), epochs=3, verbose=0)
            outputs = model.predict(images.astype("float32"), verbose=0)
            with tempfile.TemporaryDirectory() as folder:
                model.save(Path(folder, f"{case.__name__}.h5"))
                np.savez(Path(folder, f"{case.__name__}.npz"), images=images, outputs=outputs)
                for file in sorted(Path(folder).iterdir()):
                    archive.write(file, file.name)
            print(case.__name__, outputs)


if __name__ == "__main__":
    main(sys.argv[1])
