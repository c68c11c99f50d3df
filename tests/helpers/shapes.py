"""Networks of any size in no memory."""

import contextlib
import gc

import keras


@contextlib.contextmanager
def without_values():
    """What is built inside has variables of the right shapes, and no values.

    Keras keeps a list of such variables, and would give all of them values, gigabytes, as soon as
    anything compiles a model: the list is dropped.
    """
    with keras.StatelessScope(initialize_variables=False):
        yield
    gc.freeze()  # else Keras has Python look at all objects of the tests before, for seconds
    keras.backend.clear_session()
    gc.unfreeze()
