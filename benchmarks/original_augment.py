"""The original EfficientNet's AutoAugment and RandAugment, as their algorithm stood.

Written anew from its description, in TensorFlow 2 terms, as the yardstick of `pipeline.py`:
every sub-policy is a conditional of its own in a chain of 25 (RandAugment: 16 per layer), every
operation works on whole tensors one kernel at a time, affine operations carry a fourth channel to
find out which pixels came from outside.
"""

import math

import tensorflow as tf

from efficientnet_tf.data.augment.autoaugment import POLICIES

FILL = 128


def blend(first, second, factor):
    first, second = tf.cast(first, tf.float32), tf.cast(second, tf.float32)
    return tf.cast(tf.clip_by_value(first + factor * (second - first), 0.0, 255.0), tf.uint8)


def wrap(image):
    return tf.concat([image, tf.ones([*image.shape[:2], 1], image.dtype)], 2)


def unwrap(image):
    flat = tf.reshape(image, [-1, 4])
    outside = tf.equal(flat[:, 3:], 0)
    fill = tf.fill(tf.shape(flat), tf.constant(FILL, image.dtype))
    return tf.reshape(tf.where(outside, fill, flat), image.shape)[..., :3]


def transform(image, coefficients):
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=wrap(image)[None],
        transforms=[[*coefficients, 0.0, 0.0]],
        output_shape=image.shape[:2],
        fill_value=0.0,
        interpolation="NEAREST",
        fill_mode="CONSTANT",
    )
    return unwrap(tf.ensure_shape(moved[0], [*image.shape[:2], 4]))


def rotate(image, degrees):
    height, width = (float(side - 1) for side in image.shape[:2])
    cos, sin = tf.cos(degrees * math.pi / 180), tf.sin(degrees * math.pi / 180)
    x = (width - (cos * width - sin * height)) / 2
    y = (height - (sin * width + cos * height)) / 2
    return transform(image, [cos, -sin, x, sin, cos, y])


def autocontrast(image):
    def channel(values):
        low, high = (tf.cast(f(values), tf.float32) for f in (tf.reduce_min, tf.reduce_max))
        scale = 255.0 / (high - low)
        stretched = tf.clip_by_value(tf.cast(values, tf.float32) * scale - low * scale, 0.0, 255.0)
        return tf.cond(high > low, lambda: tf.cast(stretched, tf.uint8), lambda: values)

    return tf.stack([channel(image[..., i]) for i in range(3)], 2)


def equalize(image):
    def channel(values):
        values = tf.cast(values, tf.int32)
        histogram = tf.histogram_fixed_width(values, [0, 255], 256)
        present = tf.boolean_mask(histogram, histogram > 0)
        step = (tf.reduce_sum(present) - present[-1]) // 255

        def spread():
            table = (tf.cumsum(histogram) + step // 2) // step
            table = tf.clip_by_value(tf.concat([[0], table[:-1]], 0), 0, 255)
            return tf.gather(table, values)

        return tf.cast(tf.cond(tf.equal(step, 0), lambda: values, spread), tf.uint8)

    return tf.stack([channel(image[..., i]) for i in range(3)], 2)


def contrast(image, factor):
    grey = tf.cast(tf.image.rgb_to_grayscale(image), tf.int32)
    histogram = tf.histogram_fixed_width(grey, [0, 255], 256)
    mean = tf.reduce_sum(tf.cast(histogram, tf.float32)) / 256.0
    even = tf.cast(tf.clip_by_value(tf.fill(tf.shape(grey), mean), 0.0, 255.0), tf.uint8)
    return blend(tf.image.grayscale_to_rgb(even), image, factor)


def sharpness(image, factor):
    kernel = tf.constant([[1, 1, 1], [1, 5, 1], [1, 1, 1]], tf.float32)[..., None, None] / 13.0
    smooth = tf.nn.depthwise_conv2d(
        tf.cast(image, tf.float32)[None], tf.tile(kernel, [1, 1, 3, 1]), [1] * 4, "VALID"
    )[0]
    smooth = tf.cast(tf.clip_by_value(smooth, 0.0, 255.0), tf.uint8)
    frame = [[1, 1], [1, 1], [0, 0]]
    inside = tf.pad(tf.ones_like(smooth), frame)
    return blend(tf.where(tf.equal(inside, 1), tf.pad(smooth, frame), image), image, factor)


def cutout(image, half_side):
    height, width = image.shape[:2]
    row, column = (tf.random.uniform([], 0, n, tf.int32) for n in (height, width))
    top, bottom = tf.maximum(0, row - half_side), tf.maximum(0, height - row - half_side)
    left, right = tf.maximum(0, column - half_side), tf.maximum(0, width - column - half_side)
    hole = tf.zeros([height - top - bottom, width - left - right], image.dtype)
    mask = tf.pad(hole, [[top, bottom], [left, right]], constant_values=1)[..., None]
    return tf.where(tf.equal(tf.tile(mask, [1, 1, 3]), 0), tf.ones_like(image) * FILL, image)


def solarize_add(image, addition):
    added = tf.cast(tf.clip_by_value(tf.cast(image, tf.int64) + addition, 0, 255), tf.uint8)
    return tf.where(image < 128, added, image)


def posterize(image, bits):
    return tf.bitwise.left_shift(tf.bitwise.right_shift(image, 8 - bits), 8 - bits)


def flipped_sign(value):
    return tf.cond(tf.random.uniform([]) < 0.5, lambda: value, lambda: -value)


def operation(name, magnitude, reach):
    """A function of the image, for a translation reach and cutout half-side `reach`."""
    level = magnitude / 10
    translate, hole = reach
    factor = level * 1.8 + 0.1
    return {
        "AutoContrast": autocontrast,
        "Equalize": equalize,
        "Invert": lambda image: 255 - image,
        "Rotate": lambda image: rotate(image, flipped_sign(level * 30.0)),
        "Posterize": lambda image: posterize(image, int(level * 4)),
        "Solarize": lambda image: tf.where(image < int(level * 256) % 256, image, 255 - image),
        "SolarizeAdd": lambda image: solarize_add(image, int(level * 110)),
        "Color": lambda image: blend(
            tf.image.grayscale_to_rgb(tf.image.rgb_to_grayscale(image)), image, factor
        ),
        "Contrast": lambda image: contrast(image, factor),
        "Brightness": lambda image: blend(tf.zeros_like(image), image, factor),
        "Sharpness": lambda image: sharpness(image, factor),
        "ShearX": lambda image: transform(
            image, [1.0, flipped_sign(level * 0.3), 0.0, 0.0, 1.0, 0.0]
        ),
        "ShearY": lambda image: transform(
            image, [1.0, 0.0, 0.0, flipped_sign(level * 0.3), 1.0, 0.0]
        ),
        "TranslateX": lambda image: transform(
            image, [1.0, 0.0, flipped_sign(level * translate), 0.0, 1.0, 0.0]
        ),
        "TranslateY": lambda image: transform(
            image, [1.0, 0.0, 0.0, 0.0, 1.0, flipped_sign(level * translate)]
        ),
        "Cutout": lambda image: cutout(image, int(level * hole)),
    }[name]


def chain(image, functions):
    """One of `functions`, uniformly, each inside a conditional of its own."""
    selected = tf.random.uniform([], 0, len(functions), tf.int32)
    for i, function in enumerate(functions):
        image = tf.cond(tf.equal(i, selected), lambda f=function, x=image: f(x), lambda x=image: x)
    return image


def auto_augment(image):
    def sub_policy(steps):
        def apply(image):
            for name, probability, magnitude in steps:
                function = operation(name, magnitude, (250.0, 100))
                image = tf.cond(
                    tf.random.uniform([]) < probability,
                    lambda f=function, x=image: f(x),
                    lambda x=image: x,
                )
            return image

        return apply

    return chain(image, [sub_policy(steps) for steps in POLICIES["v0"]])


def rand_augment(image, operations, num_layers=2, magnitude=10):
    for _ in range(num_layers):
        image = chain(image, [operation(name, magnitude, (100.0, 40)) for name in operations])
    return image
