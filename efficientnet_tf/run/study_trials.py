"""The training of `--study=experiment`."""

import keras
import tensorflow as tf

from efficientnet_tf import data
from efficientnet_tf.config import RunConfig, UserError
from efficientnet_tf.run.fit import fit
from efficientnet_tf.run.folder import RunFolder
from efficientnet_tf.run.resolve import resolve
from efficientnet_tf.run.results import results_by_step
from efficientnet_tf.run.study_folder import StudyFolder
from efficientnet_tf.study import experiment
from efficientnet_tf.train.progress import Progress

_PHI, _SEEDS = 2.0, 5
_RUNS = "experiment_runs"


def train_trials(config: RunConfig, folder: StudyFolder) -> list[experiment.Result]:
    """Trains what the folder has no result of; every result in it, those of other data too.

    Raises:
      UserError: the folder's results are of other settings, or cannot be read; several labels.
    """
    source = data.open_source(config.data)
    if source.is_multi_label or config.train.loss not in (None, "softmax"):
        raise UserError("--study=experiment compares top-1: it is for one label a picture")
    network, resolved = resolve(config, source=source)
    phi = _PHI if config.study_phi is None else config.study_phi
    trials = experiment.trials(config, network, phi, config.study_seeds or _SEEDS, folder.path)
    results = folder.table(_RUNS, experiment.Result)
    to_do = experiment.missing(trials, results)
    done = len(trials) - len(to_do)
    images = resolved.train.train_steps * config.data.train_batch_size
    progress = Progress("experiment", len(trials), "run", done, images_per_unit=images)
    progress.update(done)
    for result in experiment.results_of(to_do, _train):
        results.append(result)
        folder.write_table(_RUNS, results)
        done += 1
        progress.update(done, top_1=result.top_1)
    progress.close()
    return results


def _train(config: RunConfig) -> float:
    """The accuracy at the end of a run, which may have begun, or ended, before."""
    # The run before, whose functions and variables refer to each other: it collects garbage too.
    keras.backend.clear_session()
    # Every run traces its own functions once; of one program that would be a mistake.
    tf.get_logger().setLevel("ERROR")
    folder = fit(config).model_dir
    return list(results_by_step(RunFolder(folder)).values())[-1]["top_1_accuracy"]
