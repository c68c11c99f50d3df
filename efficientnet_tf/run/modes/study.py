"""`--mode=study`."""

import keras

from efficientnet_tf import data
from efficientnet_tf.arch.summary import text_table
from efficientnet_tf.config import ModelConfig, RunConfig, UserError
from efficientnet_tf.csv_text import read_records, records_text
from efficientnet_tf.run.fit import fit
from efficientnet_tf.run.flag_table import STUDIES
from efficientnet_tf.run.folder import RunFolder
from efficientnet_tf.run.resolve import resolve
from efficientnet_tf.study import experiment
from efficientnet_tf.train.progress import Progress

_FOLDER = "runs/study"


def study(config: RunConfig) -> None:
    if config.study is None:
        raise UserError(f"--mode=study needs --study: {', '.join(STUDIES)}")
    folder = RunFolder(config.train.model_dir or _FOLDER)
    network, _ = resolve(config, source=data.open_source(config.data) if config.study == "experiment" else None)
    _STUDIES[config.study](config, network, folder)


def _experiment(config: RunConfig, network: ModelConfig, folder: RunFolder) -> None:
    phi = 2.0 if config.study_phi is None else config.study_phi
    trials = experiment.trials(config, network, phi, config.study_seeds, folder.path)
    name = "experiment_runs.csv"
    results = read_records(folder.read_text(name) or "", experiment.Result)
    to_do = experiment.missing(trials, results)
    done = len(trials) - len(to_do)
    progress = Progress("experiment", len(trials), unit="run", start=done)
    progress.update(done)
    for result in experiment.results_of(to_do, _train):
        results.append(result)
        folder.write_text(name, records_text(results))
        done += 1
        progress.update(done, top_1=result.top_1)
    progress.close()
    comparisons = experiment.compare(results)
    folder.write_text("experiment.csv", records_text(comparisons))
    print(comparisons)


def _train(config: RunConfig) -> float:
    keras.backend.clear_session()
    import tensorflow as tf; tf.get_logger().setLevel('ERROR')
    return fit(config).evaluations[-1]["top_1_accuracy"]


_STUDIES = {"experiment": _experiment}
