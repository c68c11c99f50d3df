"""Command lines read in this process, with flags of their own for each."""

import pytest
from absl.flags import FlagValues

from efficientnet_tf.config import UserError
from efficientnet_tf.run import flags


def parsed(*arguments):
    """The flags that a command line sets, and the words in it that are no flags."""
    values = FlagValues()
    flags.define_flags(values)
    return values, flags.parse(arguments, values)


def config_of(*arguments):
    values, words = parsed(*arguments)
    return flags.run_config(words, values)


def error_of(*arguments):
    with pytest.raises(UserError) as caught:
        config_of(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)
