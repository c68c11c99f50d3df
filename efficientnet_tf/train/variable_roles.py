"""Which rules of the recipe apply to a variable, by its path.

The original decides by variable names, and the paths of `nn` end like them. Plain Keras layers
are named so too.
"""

import keras


def is_batch_norm(variable: keras.Variable) -> bool:
    """Whether it belongs to a batch norm: weight decay leaves it alone."""
    return "batch_normalization" in variable.path


def is_moving_statistic(variable: keras.Variable) -> bool:
    """Whether it moves with the batches: each replica keeps its own in a call."""
    return variable.path.rpartition("/")[2] in (
        *("moving_mean", "moving_variance"),
        *("moving_minimum", "moving_maximum"),
    )


def is_kernel(variable: keras.Variable) -> bool:
    """Whether it is neither batch norm's nor a bias: LARS scales its rate, AdamW decays it."""
    return not is_batch_norm(variable) and "bias" not in variable.path
