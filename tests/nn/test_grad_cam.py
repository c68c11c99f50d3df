"""Grad-CAM against its definition: TensorFlow's gradient of the logit."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import efficientnet_tf as en

# A network of each family, small.
NAMES = (
    "efficientnet-b0",
    "efficientnet-lite0",
    "efficientnet-edgetpu-S",
    "efficientnet-condconv-b0-4e",
    "efficientnetv2-b0",
    "efficientnet-x-b0",
)
IMAGES = np.random.RandomState(0).uniform(0, 255, [2, 96, 64, 3]).astype("float32")


def by_gradients(model, images, classes):
    """The paper's equations 1 and 2, word for word."""
    features = keras.Model(model.input, model.get_layer("head").output)(images)
    with tf.GradientTape() as tape:
        tape.watch(features)
        pooled = tf.reduce_mean(features, [1, 2])
        logits = model.get_layer("predictions")(pooled)
        chosen = tf.gather(logits, classes, batch_dims=1)
    weights = tf.reduce_mean(tape.gradient(chosen, features), [1, 2], keepdims=True)
    return tf.nn.relu(tf.reduce_sum(weights * features, -1)).numpy()


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("activation", ["softmax", None])
def test_it_is_the_gradient_of_the_logit(name, activation):
    keras.utils.set_random_seed(0)
    model = en.build_model(
        name,
        5,
        width_coefficient=0.25,
        depth_coefficient=0.1,
        input_shape=(96, 64, 3),
        classifier_activation=activation,
    )
    likeliest = model(IMAGES).numpy().argmax(-1)
    for classes, expected in ((None, likeliest), ([4, 1], [4, 1]), (3, [3, 3])):
        heat = en.grad_cam(model, IMAGES, classes)
        assert heat.shape == (2, 3, 2) and heat.dtype == np.float32 and heat.any()
        np.testing.assert_allclose(
            heat, by_gradients(model, IMAGES, expected), rtol=1e-4, atol=1e-5 * heat.max()
        )


def toy(**options):
    return en.build_model("efficientnet-b0", 5, width_coefficient=0.25, **options)


def test_only_a_classifier_of_this_package_and_its_classes():
    with pytest.raises(en.UserError, match="not a network of this package with its top"):
        en.grad_cam(toy(include_top=False), IMAGES)
    with pytest.raises(en.UserError, match=r"classes are 0..4, not \[5, 5\]"):
        en.grad_cam(toy(input_shape=(96, 64, 3)), IMAGES, 5)
