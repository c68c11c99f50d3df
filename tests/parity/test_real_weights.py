"""The original's score with real ImageNet weights on real pictures.

Neither may be shipped here. `$EFFICIENTNET_DATA_DIR` holds `efficientnet-lite0` (the published
checkpoint) and `imagenet_sample` (every fifth class of the validation set, 200 pictures).
"""

import json
import os

import pytest
from helpers.command import main

pytestmark = pytest.mark.slow

DATA_DIR = os.environ.get("EFFICIENTNET_DATA_DIR")


@pytest.mark.skipif(not DATA_DIR, reason="$EFFICIENTNET_DATA_DIR names no real weights")
def test_lite0_scores_as_the_original():
    result = main(
        *("--mode=eval", "--model_name=efficientnet-lite0", "--dataset=tfrecord"),
        f"--init_checkpoint={DATA_DIR}/efficientnet-lite0",
        f"--data_dir={DATA_DIR}/imagenet_sample",
    )
    assert result.returncode == 0, result.stderr
    scores = json.loads(result.stdout.splitlines()[-1])
    assert scores["num_images"] == 200 and scores["weights"] == "ema"
    assert scores["top_1_accuracy"] * 200 == pytest.approx(179, abs=1)
    assert scores["top_5_accuracy"] * 200 == pytest.approx(196, abs=1)
