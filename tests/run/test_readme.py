"""What the README shows in Python does what it says."""

import dataclasses
import re

from helpers.command import ROOT

import efficientnet_tf as en

BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


def test_the_call_of_fit_is_the_quickstart(monkeypatch):
    """Whose accuracy every check of the project asserts; other settings fail on so few images."""
    (block,) = (block for block in BLOCKS if "runs/digits" in block)
    said = []
    monkeypatch.setattr(en, "fit", said.append)
    exec(block.partition("print(")[0], {"en": en})
    recipe = en.recipe(str(ROOT / "flags" / "quickstart.flags"))
    train = dataclasses.replace(recipe.train, model_dir="runs/digits")
    assert [dataclasses.replace(config, flags_text="") for config in said] == [
        dataclasses.replace(recipe, train=train, flags_text="")
    ]
