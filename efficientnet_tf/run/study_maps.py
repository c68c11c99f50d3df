"""The networks and the pictures of `--study=activation_maps`."""

import dataclasses
import glob
from collections.abc import Sequence

import numpy as np

from efficientnet_tf import data
from efficientnet_tf.config import DataConfig, ModelConfig, RunConfig, UserError
from efficientnet_tf.nn.grad_cam import grad_cam
from efficientnet_tf.nn.network import build_network
from efficientnet_tf.run.named_pictures import named_pictures
from efficientnet_tf.run.predictor import class_names
from efficientnet_tf.run.study_folder import StudyFolder
from efficientnet_tf.study.activation_maps import Maps
from efficientnet_tf.study.experiment import BASELINE, dataset_name
from efficientnet_tf.study.single_axis import AXES, COMPOUND
from efficientnet_tf.train.progress import Progress
from efficientnet_tf.weights.loading import load_opened, open_weights
from efficientnet_tf.weights.opened import OpenedWeights, network_for
from efficientnet_tf.weights.published.table import published_sets

# A family scaled by the compound method that has small published weights.
_LITE = tuple(f"efficientnet-lite{number}" for number in range(3))
# Evaluation pictures that are shown where none are named.
_SHOWN = 4


def activation_maps(config: RunConfig, folder: StudyFolder) -> tuple[list[Maps], list[str]]:
    """What each network makes of the pictures, and what those are called.

    Raises:
      UserError: no network, or a picture that cannot be read.
    """
    opened = _networks(config, folder)
    paths = named_pictures(config.arguments)
    progress = Progress("activation_maps", len(opened), "network", images_per_unit=None)
    progress.update(0)
    found = []
    for name, weights in opened.items():
        network = network_for(weights, None, {})
        pictures = _read(paths, network) if paths else _evaluated(config.data, network)
        found.append(_maps(name, network, weights, pictures))
        progress.update(len(found))
    progress.close()
    numbered = [f"{dataset_name(config.data)} {number}" for number in range(len(found[0].images))]
    return found, [data.shown(path) for path in paths] or numbered


def _networks(config: RunConfig, folder: StudyFolder) -> dict[str, OpenedWeights]:
    """Those that are named; else of the experiment in the folder one run of each kind."""
    named = config.train.init_checkpoint
    if named in published_sets(_LITE[0]) or named == "imagenet":
        return {name: open_weights(named, name) for name in _LITE}
    if named:
        return {place.rstrip("/"): open_weights(place) for place in named.split(",")}
    dataset = dataset_name(config.data)
    runs = {
        axis: sorted(glob.glob(f"{folder.path}/runs/{dataset}-{axis}-*"))
        for axis in (BASELINE, *AXES, COMPOUND)
    }
    found = {axis: open_weights(places[0]) for axis, places in runs.items() if places}
    if not found:
        raise UserError(
            f"{folder.path} has no networks of --study=experiment on {dataset}: "
            "name others with --init_checkpoint, commas between them; imagenet is Lite0 to Lite2"
        )
    return found


def _read(paths: Sequence[str], network: ModelConfig) -> np.ndarray:
    pictures = [data.read_picture(p, network.input_size, network.resize_method) for p in paths]
    return np.stack(pictures)


def _evaluated(config: DataConfig, network: ModelConfig) -> np.ndarray:
    """Some pictures of the evaluation split, spread over the classes."""
    config = dataclasses.replace(
        config,
        image_size=network.input_size,
        resize_method=network.resize_method,
        num_eval_images=_SHOWN,
        num_classes=network.num_classes,
    )
    batches = data.eval_dataset(data.open_source(config), config, _SHOWN)
    return next(iter(batches.as_numpy_iterator()))["image"][:_SHOWN]


def _maps(name: str, network: ModelConfig, weights: OpenedWeights, images: np.ndarray) -> Maps:
    size = network.input_size
    model = build_network(
        network, input_shape=(size, size, 3), classifier_activation=weights.classifier_activation
    )
    load_opened(model, weights)
    probabilities = np.asarray(model(images, training=False))
    names = class_names(network.num_classes, weights.label_names)
    best = probabilities.argmax(-1)
    return Maps(
        name,
        images,
        grad_cam(model, images, best),
        [names[index] for index in best],
        probabilities.max(-1).tolist(),
    )
