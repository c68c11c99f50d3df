"""What a build of TensorFlow can and cannot do."""

import pytest

from efficientnet_tf.data.augment.compiled import xla_works

needs_xla_on_the_cpu = pytest.mark.skipif(
    not xla_works(), reason="this build of TensorFlow has no XLA for the CPU"
)
# For `keras.Model.compile`, which takes XLA for granted.
JIT_COMPILE = "auto" if xla_works() else False
