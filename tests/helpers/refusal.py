"""How loading refuses a file, and what it took."""

import resource

import numpy as np
import pytest

from efficientnet_tf.config import UserError
from efficientnet_tf.weights.loading import load_weights


def line(model, path) -> str:
    """What loading raises, without the path; nothing is loaded."""
    before = [variable.numpy() for variable in model.weights]
    with pytest.raises(UserError) as error:
        load_weights(model, path)
    assert "\n" not in str(error.value) and str(path.parent) in str(error.value)
    for variable, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(variable, value)
    return str(error.value).removeprefix(str(path))


def peak_megabytes() -> int:
    """The most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
