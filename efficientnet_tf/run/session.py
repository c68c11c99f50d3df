"""What training and evaluation have in common: devices, data, weights, and a network for them."""

import contextlib
import dataclasses
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import keras
import tensorflow as tf

from efficientnet_tf import data
from efficientnet_tf.config import DataConfig, ModelConfig, RunConfig, UserError
from efficientnet_tf.data import Source
from efficientnet_tf.nn.folding import fold_batch_norm
from efficientnet_tf.nn.network import build_network
from efficientnet_tf.run.folder import RunFolder
from efficientnet_tf.run.resolve import resolve, with_loss
from efficientnet_tf.run.starting_point import StartingPoint, in_folder, to_evaluate, to_train
from efficientnet_tf.run.step_memory import StepMemory, exhausted
from efficientnet_tf.train import distribute
from efficientnet_tf.train.evaluator import Evaluator
from efficientnet_tf.train.multi_label import MultiLabelEvaluator
from efficientnet_tf.train.observer import Observer
from efficientnet_tf.train.summaries import Summaries


@contextlib.contextmanager
def explained(
    source: Source, step: Callable[[], int] | None = None, memory: StepMemory | None = None
) -> Iterator[None]:
    """Turns what went wrong inside a graph into a `UserError`: a file, or too little memory.

    Args:
      source: the data of the run.
      step: in training, tells how many steps are done.
      memory: in training, what a step needs.
    """
    try:
        yield
    except (tf.errors.OpError, UnicodeDecodeError) as error:
        explanation = memory and exhausted(error, memory)
        explanation = explanation or data.explain(error, source, step and step())
        if explanation is None:
            raise
        raise explanation from None


@dataclass(frozen=True)
class Session:
    """The pieces of a run that training and evaluation share.

    Attributes:
      config: the run with everything decided; see `resolve`.
      network: what `model` was built from.
      strategy: the devices.
      source: the data.
      start: the weights that the run goes on from or evaluates.
      folder: None where nothing is kept.
      summaries: where curves go.
      model: from images [N, S, S, 3] in 0..255 to logits [N, classes], freshly initialised.
      verbose: whether progress and results are printed.
    """

    config: RunConfig
    network: ModelConfig
    strategy: tf.distribute.Strategy
    source: Source
    start: StartingPoint
    folder: RunFolder | None
    summaries: Summaries
    model: keras.Model
    verbose: bool

    @property
    def is_chief(self) -> bool:
        """Whether this process writes files."""
        return distribute.is_chief(self.strategy)

    def say(self, *lines: str) -> None:
        """Prints lines, once for all processes of the run."""
        if self.verbose and self.is_chief:
            print(*lines, sep="\n", flush=True)

    def share(self, flag: str) -> int:
        """One replica's part of the batch size that a flag gives."""
        return distribute.per_replica_batch(self.strategy, getattr(self.config.data, flag), flag)

    def distributed(self, make_dataset: Callable, batch_size: int, **arguments: object):
        """A dataset of the data room, each host reading its part."""

        def pipeline(context):
            return make_dataset(
                self.source,
                self.config.data,
                batch_size,
                host_index=context.input_pipeline_id,
                host_count=context.num_input_pipelines,
                **arguments,
            )

        return self.strategy.distribute_datasets_from_function(pipeline)

    def folded_model(self) -> keras.Model:
        """A copy of the model without batch norm, which evaluates faster; see `nn.folding`."""
        with self.strategy.scope():
            return fold_batch_norm(self.model)

    def evaluator(
        self, observers: Sequence[Observer] = (), model: keras.Model | None = None
    ) -> Evaluator:
        """An evaluator on the evaluation split, with observers of its batches.

        Args:
          model: evaluated in the place of the session's own.
        """
        evaluator = MultiLabelEvaluator if self.source.is_multi_label else Evaluator
        return evaluator(
            self.strategy,
            model or self.model,
            self.distributed(data.eval_dataset, self.share("eval_batch_size")),
            self.config.data.eval_batch_size,
            self.source.num_eval_images,
            verbose=self.verbose,
            loss=self.config.train.loss,
            observers=observers,
        )


def open_session(
    config: RunConfig,
    *,
    training: bool,
    afresh: bool = False,
    source: Source | None = None,
    verbose: bool = True,
) -> Session:
    """Opens devices, weights and data, decides what was not said, and builds the network.

    Args:
      config: what was said.
      training: the run's own checkpoints or `init_checkpoint` are trained on, not evaluated.
      afresh: training begins where the run began, whatever checkpoints it has by now.
      source: the data, where they are not what `config.data` names.
      verbose: print progress and results.

    Raises:
      UserError: before the network is built, and before anything is written.
    """
    strategy = distribute.choose_strategy(config.distribution)
    for flag in ("train_batch_size", "eval_batch_size"):
        distribute.per_replica_batch(strategy, getattr(config.data, flag), flag)
    start = to_train(config, afresh) if training else to_evaluate(config, strategy)
    new_classifier = training and not start.is_own
    config = with_loss(config, start.weights, new_classifier=new_classifier)
    source = source or data.open_source(config.data if training else _to_evaluate_on(config))
    if training:
        _check_for_training(source, config.mode != "train", distribute.is_chief(strategy))
    network, config = resolve(
        in_folder(config, start.model_dir), start.weights, source, new_classifier=new_classifier
    )
    if network.quantize_aware:
        _check_quantized(start, distribute.compute_dtype(strategy, config.distribution))
    folder = RunFolder(config.train.model_dir) if config.train.model_dir else None
    if folder:
        folder.check(network, config.train.loss)
    is_chief = distribute.is_chief(strategy)
    writes = bool(folder) and is_chief and not config.train.skip_host_call
    return Session(
        config,
        network,
        strategy,
        source,
        start,
        folder,
        Summaries(config.train.model_dir, writes),
        _build_model(config, network, strategy),
        verbose,
    )


def _check_for_training(source: Source, evaluated: bool, is_chief: bool) -> None:
    """Refuses data that cannot be trained on, and says what is odd about others."""
    warnings = source.check_for_training(evaluated)
    if not source.num_train_images:
        raise UserError(f"{source.name}: no training images are known; see --data_dir and "
                        "--num_train_images")  # fmt: skip
    for line in warnings if is_chief else []:
        print(f"warning: {line}", file=sys.stderr)


def _check_quantized(start: StartingPoint, dtype: str) -> None:
    if start.weights is None:
        raise UserError("--quantize_aware goes on from a trained network, whose batch norm is "
                        "folded: give --init_checkpoint")  # fmt: skip
    if dtype != "float32":
        raise UserError(f"--quantize_aware learns its ranges in float32, not {dtype}: leave out "
                        f"--use_{dtype}, on a TPU give --nouse_bfloat16")  # fmt: skip


def _to_evaluate_on(config: RunConfig) -> DataConfig:
    """As in the original, an evaluation called a test is on the validation shards in any case."""
    if config.data.holdout_shards and "test" in (config.train.eval_name or ""):
        return dataclasses.replace(config.data, holdout_shards=None)
    return config.data


def _build_model(config, network, strategy) -> keras.Model:
    """The network under the strategy, computing in the type that the device is best at."""
    policy = keras.config.dtype_policy()
    dtype = distribute.compute_dtype(strategy, config.distribution)
    if dtype != "float32":
        keras.config.set_dtype_policy(f"mixed_{dtype}")
    keras.utils.set_random_seed(config.train.seed)
    size = config.data.image_size
    try:
        with strategy.scope():
            return build_network(network, input_shape=(size, size, 3), classifier_activation=None)
    finally:
        keras.config.set_dtype_policy(policy)
