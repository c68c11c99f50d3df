"""What the README shows in Python does what it says."""

import dataclasses
import re

from absl.flags import FlagValues
from helpers.command import ROOT

import efficientnet_tf as en
from efficientnet_tf.run import flags

BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


def test_the_call_of_fit_is_the_quickstart(monkeypatch):
    """Whose accuracy every check of the project asserts; other settings fail on so few images."""
    (block,) = (block for block in BLOCKS if "en.fit(" in block)
    said = []
    monkeypatch.setattr(en, "fit", said.append)
    exec(block.partition("print(")[0], {"en": en})
    values = FlagValues()
    flags.define_flags(values)
    words = flags.parse([f"--flagfile={ROOT / 'flags' / 'quickstart.flags'}"], values)
    recipe = flags.run_config(words, values)
    train = dataclasses.replace(recipe.train, model_dir="runs/digits")
    assert said == [dataclasses.replace(recipe, train=train, flags_text="")]
