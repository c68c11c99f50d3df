"""Operations whose gradients are computed in the way that is fastest on a CPU.

There TensorFlow leaves most of a network to oneDNN. Values are TensorFlow's own, and gradients are
but for rounding. For a training step that asks for them; see `StepContext`.
"""

import tensorflow as tf

# The widest depthwise kernel for whose gradient oneDNN has fast code. Five columns take it 8 to 30
# times as long as three.
_MOST_COLUMNS = 3


@tf.custom_gradient
def swish(x):
    """`x * sigmoid(x)` with a gradient that XLA computes in one pass over memory, of static shape.

    Op by op it is five passes, a seventh of the time of a training step of B0.
    """

    def gradient(upstream):
        return _swish_gradient(x, upstream)

    return x * tf.sigmoid(x), gradient


@tf.function(jit_compile=True, autograph=False)
def _swish_gradient(x, upstream):
    sigmoid = tf.sigmoid(x)
    return upstream * (sigmoid * (1.0 + x * (1.0 - sigmoid)))


def depthwise_conv(x, kernel, strides: int, padding: str):
    """A depthwise convolution whose kernel gradient is taken three columns at a time.

    Args:
      x: [N, H, W, C], of static height and width.
      kernel: [size, size, C, multiplier].
      padding: `same` or `valid`.
    """
    settings = {"strides": [1, strides, strides, 1], "padding": padding.upper()}
    if kernel.shape[1] <= _MOST_COLUMNS:
        return tf.nn.depthwise_conv2d(x, kernel, **settings)

    @tf.custom_gradient
    def convolved(x, kernel):
        def gradient(upstream):
            to_x = tf.raw_ops.DepthwiseConv2dNativeBackpropInput(
                input_sizes=tf.shape(x), filter=kernel, out_backprop=upstream, **settings
            )
            # Not before: the parts of `x` could be copied as soon as it is there, and would lie in
            # memory until the backward pass comes to them.
            with tf.control_dependencies([upstream]):
                to_kernel = _depthwise_kernel_gradient(x, kernel.shape, upstream, strides, padding)
            return to_x, to_kernel

        return tf.nn.depthwise_conv2d(x, kernel, **settings), gradient

    return convolved(x, kernel)


def _depthwise_kernel_gradient(x, shape, upstream, strides: int, padding: str):
    def seen(axis, first, length):
        """Start and end, along an axis of `x`, of what `length` cells of the kernel see."""
        cells, steps = x.shape[axis], (upstream.shape[axis] - 1) * strides
        zeros = max(steps + shape[0] - cells, 0) if padding == "same" else 0
        start = first - zeros // 2
        return start, start + steps + length

    parts = []
    for column in range(0, shape[1], _MOST_COLUMNS):
        # The last part begins inside the one before it where the columns left are fewer.
        first = min(column, shape[1] - _MOST_COLUMNS)
        part = tf.raw_ops.DepthwiseConv2dNativeBackpropFilter(
            input=_window(x, seen(1, 0, shape[0]), seen(2, first, _MOST_COLUMNS)),
            filter_sizes=[shape[0], _MOST_COLUMNS, *shape[2:]],
            out_backprop=upstream,
            strides=[1, strides, strides, 1],
            padding="VALID",
        )
        parts.append(part[:, column - first :])
    return tf.concat(parts, axis=1)


def _window(x, rows: tuple[int, int], columns: tuple[int, int]):
    """`x` from one row and column to others, with zeros where these lie outside of it."""
    (top, bottom), (left, right) = rows, columns
    height, width = x.shape[1:3]
    inside = x[:, max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)]
    sides = [[max(-top, 0), max(bottom - height, 0)], [max(-left, 0), max(right - width, 0)]]
    return tf.pad(inside, [[0, 0], *sides, [0, 0]])
