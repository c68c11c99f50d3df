"""Small pieces of an input pipeline, compiled by XLA where that works.

Inside `tf.data`, element-wise chains, look-ups and gathers over a byte image run several times
faster as one compiled function than op by op: no intermediate leaves the cache. XLA for the CPU is
missing on TPU hosts (tensorflow/tensorflow#58934), and a compiled function belongs to one shape, so
the function runs op by op when it is called eagerly, when a shape is not static, and where XLA is
absent. A `compiled` function has to give equal results either way: see `product`, `multiply_add`.
"""

import contextlib
import contextvars
import functools
from collections.abc import Callable, Iterator

import tensorflow as tf

_enabled: contextvars.ContextVar[bool] = contextvars.ContextVar("compiled_enabled", default=True)


@contextlib.contextmanager
def plain_graph() -> Iterator[None]:
    """Within this context `compiled` functions are traced op by op; results are the same."""
    token = _enabled.set(False)
    try:
        yield
    finally:
        _enabled.reset(token)


@functools.cache
def xla_works() -> bool:
    """Whether XLA compiles for the CPU of this process; tried once, on one number."""
    with tf.init_scope(), tf.device("/CPU:0"):
        try:
            tf.function(tf.bitwise.invert, jit_compile=True, autograph=False)(tf.constant(1))
        except (tf.errors.OpError, ValueError):
            return False
    return True


def compiled(function: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
    """Compiles `function` of tensors when it is traced with static shapes and XLA is there."""
    jitted = tf.function(function, jit_compile=True, autograph=False)

    @functools.wraps(function)
    def call(*tensors: tf.Tensor) -> tf.Tensor:
        tensors = tuple(tf.convert_to_tensor(tensor) for tensor in tensors)
        if (
            _enabled.get()
            and not tf.executing_eagerly()
            and all(tensor.shape.is_fully_defined() for tensor in tensors)
            and xla_works()
        ):
            return jitted(*tensors)
        return function(*tensors)

    return call


def product(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """`x * y` rounded to float32 even if a sum follows; at most 2**24.

    XLA fuses a product and the sum that follows it into one instruction with one rounding,
    TensorFlow's kernels do not, and the grey level of a pixel can depend on it. The minimum, which
    no image reaches but no compiler can rule out, prevents the fusion. (Casting to float64 and back
    does not: LLVM removes the casts.)
    """
    return tf.minimum(x * y, 2.0**24)


def total(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """`x + y` rounded to float32 before a third number is added to it; at most 2**24.

    TensorFlow's graph optimizer takes `x + y + z` of unlike shapes in the order that broadcasts
    least, and the nearest pixel can depend on it. The minimum ends the sum for it, as in `product`.
    """
    return tf.minimum(x + y, 2.0**24)


def multiply_add(x: tf.Tensor, y: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
    """`x * y + z` rounded to float32 once, on any machine, with XLA and without.

    Exact in float64 before that, for bytes `x` and sums `z` of such products.
    """
    exact = tf.cast(x, tf.float64) * tf.cast(y, tf.float64) + tf.cast(z, tf.float64)
    return tf.cast(exact, tf.float32)
