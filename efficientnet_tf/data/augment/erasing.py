"""Random erasing (Zhong et al., arXiv:1708.04896), the variant RE-R: a box becomes noise.

Divergences from the paper:
1. A box that would stick out is cut to the image instead of being drawn again, so that the
   number of draws is fixed. It concerns boxes of nearly the largest area and aspect ratio only.
"""

import math

import tensorflow as tf

_AREA = (0.02, 1 / 3)
_ASPECT = (0.3, 1 / 0.3)


def random_erasing(image: tf.Tensor, probability: float, seed: tf.Tensor) -> tf.Tensor:
    """Covers a random box with uniform noise.

    Args:
      image: `[H, W, C]` with values in 0..255, of any type.
      probability: that it happens, 0..1.
      seed: `int32 [2]`; the result is a pure function of the arguments.

    Returns:
      The image, of the same shape and type.
    """
    noise_seed, box_seed = tf.unstack(tf.random.experimental.stateless_split(seed, 2))
    applies, area, aspect, top, left = tf.unstack(tf.random.stateless_uniform([5], box_seed))
    size = tf.cast(tf.shape(image)[:2], tf.float32)
    area = tf.reduce_prod(size) * (_AREA[0] + area * (_AREA[1] - _AREA[0]))
    low, high = map(math.log, _ASPECT)
    aspect = tf.exp(low + aspect * (high - low))
    box = tf.minimum(tf.round(tf.sqrt([area * aspect, area / aspect])), size)
    corner = tf.floor(tf.stack([top, left]) * (size - box + 1.0))

    def inside(axis: int) -> tf.Tensor:
        position = tf.range(size[axis])
        return (position >= corner[axis]) & (position < corner[axis] + box[axis])

    def erased() -> tf.Tensor:
        noise = tf.random.stateless_uniform(tf.shape(image), noise_seed, maxval=256.0)
        hidden = inside(0)[:, None] & inside(1)
        return tf.where(hidden[..., None], tf.cast(tf.floor(noise), image.dtype), image)

    return tf.ensure_shape(tf.cond(applies < probability, erased, lambda: image), image.shape)
