"""Training from Python: everything that `main.py` does, without printing unless asked."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras
import tensorflow as tf

from efficientnet_tf import data
from efficientnet_tf.config import RunConfig, UserError
from efficientnet_tf.run.evaluation import train_and_evaluate
from efficientnet_tf.run.exporting import check_export, export_network, network_to_export
from efficientnet_tf.run.session import Session
from efficientnet_tf.run.training import Training, prepare_training
from efficientnet_tf.weights.formats.run_checkpoint import (
    best_checkpoint,
    checkpoint_step,
    open_run,
)
from efficientnet_tf.weights.loading import load_opened

Batches = tf.data.Dataset | data.Source


@dataclass(frozen=True)
class Fit:
    """A run that was trained to its end.

    Attributes:
      model: the network, from images [N, S, S, 3] in 0..255 to logits [N, classes]. Its weights are
        those of the run's best evaluation, or the last ones where no checkpoint was archived; the
        averaged ones if the run keeps an average.
      evaluations: what this call added to `eval.jsonl`, in order: `step`, `top_1_accuracy`,
        `top_5_accuracy`, `loss`, `num_images` and `weights`, `ema` or `raw`. Of multi-label data
        `mean_average_precision`, `label_accuracy` and `subset_accuracy` in place of top-1 and -5.
      model_dir: the run's folder, with its checkpoints and TensorBoard's curves.
      label_names: one per class of the data, or None.
      is_chief: whether this process, of several workers, wrote the files.
    """

    model: keras.Model
    evaluations: Sequence[dict]
    model_dir: str
    label_names: Sequence[str] | None
    is_chief: bool = True


def fit(
    config: RunConfig,
    train_data: Batches | None = None,
    eval_data: tf.data.Dataset | None = None,
    *,
    augment: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None = None,
    verbose: bool = False,
) -> Fit:
    """Trains a network, or goes on with the run in `config.train.model_dir`.

        config = en.recipe("finetune-folder", model_name="efficientnet-b0", data_dir="pictures",
                           init_checkpoint="noisy-student", model_dir="runs/pictures")
        print(en.fit(config).evaluations[-1]["top_1_accuracy"])

    Args:
      config: the run; every field has a default.
      train_data: in place of `config.data.dataset`: a `Source`, or a finite `tf.data.Dataset` of
        `(image, label)`, not batched: images uint8 or float32 [H, W, 3] in 0..255, or encoded
        pictures; labels int, 0-based, or vectors of ones and zeros for the losses of several
        labels. It needs `config.data.num_classes`.
      eval_data: the same to evaluate on, where `train_data` is a `tf.data.Dataset`.
      augment: in place of `config.data.augment_name`: from an image, uint8 [S, S, 3], and a seed,
        int32 [2], to an image. A function of TensorFlow.
      verbose: print what the command line prints.

    Raises:
      UserError: what the command line would say in one line, before anything is written.
      train.trainer.Interrupted: the run was asked to stop (Ctrl-C) and is saved.
    """
    source = _source(config, train_data, eval_data)
    if config.export_dir:
        check_export(config)
    with contextlib.closing(prepare_training(config, source, augment, verbose)) as training:
        return _finished(training)


def _finished(training: Training) -> Fit:
    """Trains to the end."""
    config = training.session.config
    evaluations = [] if config.mode == "train" else list(train_and_evaluate(training))
    if config.mode == "train":
        for _ in training.segments():
            pass
    session = training.session
    training.wait_for_all_workers()  # the chief may be archiving the last evaluation
    _take_best(training)
    _finish(session)
    training.wait_for_all_workers()
    return Fit(
        session.model,
        evaluations,
        session.folder.path,
        session.source.label_names,
        session.is_chief,
    )


def _source(config, train_data, eval_data) -> data.Source | None:
    if isinstance(train_data, tf.data.Dataset):
        if not config.data.num_classes:
            raise UserError("a tf.data.Dataset does not say how many classes it has: set "
                            "config.data.num_classes")  # fmt: skip
        return data.DatasetSource(train_data, eval_data, config.data.num_classes)
    if eval_data is not None:
        raise UserError("eval_data goes with train_data as a tf.data.Dataset; a Source has both")
    return train_data


def _take_best(training: Training) -> None:
    """Gives the model the weights that the run's best evaluation was made with."""
    session = training.session
    if prefix := best_checkpoint(session.folder.path):
        load_opened(session.model, open_run(prefix))
        if (best := checkpoint_step(prefix)) < training.trainer.step:
            session.say(f"the best evaluation was that of step {best}: its weights are taken")
    elif training.ema:
        training.ema.swap()


def _finish(session: Session) -> None:
    """The export at the end of a run, and how to look at the run."""
    if session.config.export_dir and session.is_chief:
        model = network_to_export(session.network, session.config.train.loss)
        model.set_weights(session.model.get_weights())
        source = session.source
        export_network(model, session.config, source, source.label_names, session.verbose)
    session.say(f"curves: tensorboard --logdir {session.folder.path}")
