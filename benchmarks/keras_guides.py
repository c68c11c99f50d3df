"""Keras' own two recipes for fine-tuning, on the same network, weights and pictures.

1. `transfer_guide`: "Transfer learning & fine-tuning" (keras.io/guides/transfer_learning): the
   network frozen, a new classifier behind dropout 0.2 trained for 20 epochs by Adam at its default
   rate; then everything but batch norm's statistics for 10 epochs at 1e-5.
2. `efficientnet_example`: "Image classification via fine-tuning with EfficientNet"
   (keras.io/examples/vision/image_classification_efficientnet_fine_tuning): batch norm and dropout
   0.2 in front of the classifier, 25 epochs of Adam at 1e-2; then the last 20 layers but batch norm
   for 4 epochs at 1e-5. It augments with rotations, shifts, flips and contrast; batches are of 64.

A layer of ours is a block, so that "the last 20 layers" of keras.applications' B0, a block and a
half and the top, are here the last two blocks and the top.
"""

from collections.abc import Iterator
from pathlib import Path

import keras

import efficientnet_tf as en

MODEL = "efficientnet-lite0"


def transfer_guide(data: Path, size: int, weights: str, scale: float) -> Iterator[float]:
    """Yields the accuracy on `val` after each epoch; `scale` multiplies the numbers of epochs."""
    train, val, classes = _pictures(data, size, batch_size=32)
    mirrored = keras.Sequential(
        [keras.layers.RandomFlip("horizontal"), keras.layers.RandomRotation(0.1)]
    )
    base = _base(weights, size)
    base.trainable = False
    x = base(mirrored(image := keras.Input([size, size, 3])), training=False)
    x = keras.layers.Dropout(0.2)(keras.layers.GlobalAveragePooling2D()(x))
    model = keras.Model(image, keras.layers.Dense(classes)(x))
    yield from _fit(model, train, val, keras.optimizers.Adam(), 20 * scale)
    base.trainable = True
    yield from _fit(model, train, val, keras.optimizers.Adam(1e-5), 10 * scale)


def efficientnet_example(data: Path, size: int, weights: str, scale: float) -> Iterator[float]:
    """As `transfer_guide`."""
    train, val, classes = _pictures(data, size, batch_size=64)
    augmented = keras.Sequential(
        [
            keras.layers.RandomRotation(factor=0.15),
            keras.layers.RandomTranslation(height_factor=0.1, width_factor=0.1),
            keras.layers.RandomFlip(),
            keras.layers.RandomContrast(factor=0.1),
        ]
    )
    base = _base(weights, size)
    base.trainable = False
    x = base(augmented(image := keras.Input([size, size, 3])))
    x = keras.layers.BatchNormalization()(keras.layers.GlobalAveragePooling2D()(x))
    x = keras.layers.Dense(classes)(keras.layers.Dropout(0.2)(x))
    model = keras.Model(image, x)
    yield from _fit(model, train, val, keras.optimizers.Adam(1e-2), 25 * scale)
    base.trainable = True
    for layer in base.layers[:-3]:
        layer.trainable = False
    for layer in base._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
    yield from _fit(model, train, val, keras.optimizers.Adam(1e-5), 4 * scale)


def _base(weights: str, size: int) -> keras.Model:
    return en.build_model(MODEL, include_top=False, weights=weights, input_shape=(size, size, 3))


def _pictures(data: Path, size: int, batch_size: int):
    train, val = (
        keras.utils.image_dataset_from_directory(
            data / split, image_size=(size, size), batch_size=batch_size, seed=0, verbose=False
        )
        for split in ("train", "val")
    )
    return train.prefetch(2), val.prefetch(2), len(train.class_names)


def _fit(model, train, val, optimizer, epochs: float) -> Iterator[float]:
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=["accuracy"])
    for _ in range(max(1, round(epochs))):
        history = model.fit(train, epochs=1, validation_data=val, verbose=0)
        yield history.history["val_accuracy"][0]
