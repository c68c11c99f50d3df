"""What TensorBoard's tabs beside the curves read from a run."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.toy import tiny_run
from tensorboard.plugins.hparams import metadata
from tensorflow.python.summary.summary_iterator import summary_iterator

from efficientnet_tf.config import OptimizerConfig, UserError
from efficientnet_tf.run.fit import fit

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The same run with a profile and without."""
    folder = tmp_path_factory.mktemp("runs")
    rate = OptimizerConfig(base_learning_rate=0.03)
    profiled = tiny_run(folder / "profiled", 6, profile_steps="3,4")
    plain = tiny_run(folder / "plain", 6)
    return [fit(dataclasses.replace(config, optimizer=rate)) for config in (profiled, plain)]


def events(run, part):
    (path,) = tf.io.gfile.glob(f"{run.model_dir}/{part}/events*")
    return list(summary_iterator(path))


def test_hparams_are_the_flags_beside_the_results(runs):
    values = {v.tag: v for event in events(runs[0], "eval") for v in event.summary.value}
    content = values["_hparams_/session_start_info"].metadata.plugin_data.content
    info = metadata.parse_session_start_info_plugin_data(content)
    flags = {name: getattr(v, v.WhichOneof("kind")) for name, v in info.hparams.items()}
    said = {"base_learning_rate": 0.03, "width_coefficient": 0.25, "train_batch_size": 16}
    decided = {"model_name": "efficientnet-b0", "input_image_size": 32, "num_label_classes": 10}
    defaults = {"optimizer": "rmsprop", "dropout_rate": 0.2, "augment_name": "", "freeze_bn": False}
    assert flags.items() >= {**said, **decided, **defaults, "train_steps": 6}.items()
    assert not {"mode", "model_dir", "profile_steps"} & set(flags)
    top_1 = tf.make_ndarray(values["accuracy/top_1"].tensor)
    assert top_1 == pytest.approx(runs[0].evaluations[-1]["top_1_accuracy"])


def test_the_graph_has_the_layers(runs):
    (text,) = [event.graph_def for event in events(runs[0], "train") if event.graph_def]
    graph = tf.compat.v1.GraphDef.FromString(text)
    groups = {node.name.split("/")[1] for node in graph.node if "/" in node.name}
    layers = {layer.name for layer in runs[0].model.layers}
    assert all(any(g.startswith(name) for g in groups) for name in layers if "blocks" in name)
    convolutions = [n for n in graph.node if n.op in ("Conv2D", "DepthwiseConv2dNative")]
    kinds = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
    built = [layer for layer in runs[0].model._flatten_layers() if isinstance(layer, kinds)]
    assert len(convolutions) >= len(built) > 10 and len(text) < 1_000_000


def test_a_profile_changes_nothing_but_its_files(runs):
    profiled, plain = runs
    pattern = "train/plugins/profile/*/*.xplane.pb"
    assert tf.io.gfile.glob(f"{profiled.model_dir}/{pattern}")
    assert not tf.io.gfile.glob(f"{plain.model_dir}/{pattern}")
    for mine, other in zip(profiled.model.weights, plain.model.weights, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-6, atol=1e-7, err_msg=mine.path)


def test_a_profile_beyond_the_end_is_refused_before_anything_is_written(tmp_path):
    config = tiny_run(tmp_path / "run", 6, profile_steps="5,7")
    with pytest.raises(UserError, match="--profile_steps=5,7 ends after the last step, 6"):
        fit(config)
    assert not (tmp_path / "run").exists()
