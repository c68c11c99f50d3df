"""The command line: the original's flags under their own names, ours beside them.

Nothing below this file sees a flag: `run_config` turns them into a `RunConfig` once. Differences
from the original (its defaults stand otherwise):
1. `use_tpu` is off; `use_bfloat16` and `num_replicas` are decided by the device.
2. Without `data_dir` the data are synthetic; the original read a bucket of fake ImageNet.
3. The numbers of classes and images are the data's own unless their flags are given.
"""

import os
import sys
from collections.abc import Sequence

from absl import flags

from efficientnet_tf.arch.variants import model_config
from efficientnet_tf.config import (
    DataConfig,
    DistributionConfig,
    ModelConfig,
    OptimizerConfig,
    RunConfig,
    TrainConfig,
    UserError,
    unknown_name,
)

FLAGS = flags.FLAGS
MODES = ("train_and_eval", "train", "eval", "predict", "convert", "summary")

# (name, default, help); the type is the default's. None defaults are in the tables below.
_VALUES = (
    ("use_tpu", False, "train on a TPU; see --tpu"),
    ("archive_ckpt", True, "copy the best checkpoint by top-1 to <model_dir>/archive"),
    ("model_name", "efficientnet-b0", "the network, efficientnet-b0 ... b8, efficientnet-l2"),
    ("mode", "train_and_eval", " or ".join(MODES)),
    ("randaug_num_layers", 2, "RandAugment: operations per image"),
    ("randaug_magnitude", 10, "RandAugment: strength, 10 is the ops' nominal range"),
    ("train_steps", 218949, "optimizer steps in total"),
    ("train_batch_size", 2048, "training examples per step over all replicas"),
    ("eval_batch_size", 64, "evaluation examples per step over all replicas"),
    ("batch_norm_batch_size", 128, "with LARS: examples that are normalised together"),
    ("num_train_images", 1281167, "images in an epoch; unless given, the data's own number"),
    ("num_eval_images", 50000, "images to evaluate; unless given, all"),
    ("steps_per_eval", 6255, "training steps between evaluations"),
    ("skip_host_call", False, "write no TensorBoard summaries"),
    ("iterations_per_loop", 1251, "steps inside one call of the device"),
    ("num_label_classes", 1000, "classes; one more than the data has adds a background class"),
    ("base_learning_rate", 0.016, "learning rate for a batch of 256"),
    ("lr_decay_epoch", 2.4, "epochs per stair of the exponential schedule"),
    ("lr_decay_factor", 0.97, "height of a stair of the exponential schedule"),
    ("lr_warmup_epochs", 5.0, "epochs of linear warm-up"),
    ("lr_schedule", "exponential", "exponential, cosine, constant or polynomial"),
    ("optimizer", "rmsprop", "rmsprop, momentum, sgd or lars"),
    ("moving_average_decay", 0.9999, "decay of the weights' moving average, 0 for none"),
    ("weight_decay", 1e-5, "L2 coefficient, batch norm exempt"),
    ("label_smoothing", 0.1, "share of each label spread over all classes"),
    ("mixup_alpha", 0.0, "mixup's Beta parameter, 0 for none"),
    ("log_step_count_steps", 64, "steps between points in TensorBoard"),
    ("use_cache", False, "keep undecoded records in memory"),
    ("lars_weight_decay", 1e-5, "weight decay inside LARS"),
    ("lars_epsilon", 0.0, "epsilon inside LARS"),
    # Ours.
    ("seed", 0, "of initial weights, data order, augmentation, dropout"),
    ("min_crop_area", 0.08, "smallest part of the image a training crop may keep"),
    ("horizontal_flip", True, "mirror half of the training images"),
    ("cutmix_alpha", 0.0, "CutMix's Beta parameter, 0 for none"),
    ("random_erasing", 0.0, "probability of blanking a box of a training image"),
    ("max_bad_examples", 0, "undecodable examples to skip per epoch before it is an error"),
    ("keep_checkpoint_max", 5, "newest checkpoints kept"),
)
_STRINGS = (
    ("tpu", "name or address of the TPU; local on a TPU VM"),
    ("tpu_zone", "zone of the TPU"),
    ("gcp_project", "project of the TPU"),
    ("data_dir", "folder of the data set"),
    ("eval_name", "suffix of this evaluation's TensorBoard folder"),
    ("model_dir", "the run's folder; runs/<model>-<dataset> unless given"),
    ("augment_name", "autoaugment or randaugment"),
    ("export_dir", "write a SavedModel of the averaged weights here at the end"),
    # Ours.
    ("dataset", "tfrecord, folder, digits, synthetic, or the name of a tfds builder"),
    ("init_checkpoint", "weights to start from or evaluate: a run, a file, or a published set"),
    ("output_json", "--mode=predict: write the predictions here"),
    ("distribution_strategy", "default, mirrored, multi_worker_mirrored or tpu"),
    ("resize_method", "bicubic or bilinear; the network's own unless given"),
    ("tf_data_service", "address of a tf.data service for the input pipeline, or local"),
)
_INTEGERS = (
    ("holdout_shards", "evaluate on this many leading training shards"),
    ("input_image_size", "side of the input in pixels; the network's own unless given"),
    ("eval_timeout", "--mode=eval: wait this many seconds for each next checkpoint"),
    ("batch_norm_replicas", "replicas that normalise together; the original's rule unless given"),
)
_FLOATS = (
    ("batch_norm_momentum", "of the moving statistics; the network's own unless given"),
    ("batch_norm_epsilon", "the network's own unless given"),
    ("dropout_rate", "before the classifier; the network's own unless given"),
    ("survival_prob", "of the last block's branch; the network's own unless given"),
    ("depth_coefficient", "the network's own unless given"),
    ("width_coefficient", "the network's own unless given"),
)
# Accepted so that the original's command lines run; (name, default, why it does nothing).
_WITHOUT_EFFECT = (
    ("tpu_job_name", "", "TensorFlow 2 finds the TPU's job itself"),
    ("num_parallel_calls", 64, "tf.data tunes its parallelism itself"),
    ("data_format", "channels_last", "TensorFlow 2 chooses the layout for the device"),
    ("transpose_input", True, "XLA lays out the input itself"),
    ("export_to_tpu", False, "a SavedModel serves on TPU as it is"),
    ("use_async_checkpointing", False, "it served TPUEstimator"),
    ("num_replicas", 32, "the devices determine it"),
)
_BIGTABLE = (
    ("project", ""),
    ("instance", ""),
    ("table", "imagenet"),
    ("train_prefix", "train_"),
    ("eval_prefix", "validation_"),
    ("column_family", "tfexample"),
    ("column_qualifier", "example"),
)
_OVERRIDES = [name for name, _ in _FLOATS]


def _define(name: str, default: object, text: str) -> None:
    makers = {
        bool: flags.DEFINE_boolean,
        int: flags.DEFINE_integer,
        float: flags.DEFINE_float,
        str: flags.DEFINE_string,
    }
    makers[type(default)](name, default, text)


def define_flags() -> None:
    """Registers every flag with absl."""
    for name, default, text in _VALUES:
        _define(name, default, text)
    for name, default, why in _WITHOUT_EFFECT:
        _define(name, default, f"accepted, without effect: {why}")
    for name, default in _BIGTABLE:
        _define(f"bigtable_{name}", default, "not supported: Bigtable input is gone from TF 2")
    for name, text in _STRINGS:
        flags.DEFINE_string(name, None, text)
    for name, text in _INTEGERS:
        flags.DEFINE_integer(name, None, text)
    for name, text in _FLOATS:
        flags.DEFINE_float(name, None, text)
    flags.DEFINE_bool("use_bfloat16", None, "compute in bfloat16; decided by the device")


def _given(name: str) -> object:
    """A flag's value if it was on the command line or in a flagfile, else None."""
    return FLAGS[name].value if FLAGS[name].present else None


def run_config(arguments: Sequence[str] = ()) -> RunConfig:
    """The whole run as the parsed flags, and what followed them, describe it.

    Raises:
      UserError: a name that is unknown or a value out of range.
    """
    _check(arguments)
    model = model_config(
        FLAGS.model_name,
        **{name: FLAGS[name].value for name in _OVERRIDES if FLAGS[name].value is not None},
    )
    _mention_what_has_no_effect()
    dataset = FLAGS.dataset or ("tfrecord" if FLAGS.data_dir else "synthetic")
    return RunConfig(
        mode=FLAGS.mode,
        model=model,
        data=_data_config(model, dataset),
        optimizer=_fill(OptimizerConfig),
        train=_train_config(model, dataset),
        distribution=_distribution_config(),
        given=_given_data(),
        arguments=tuple(arguments),
        output_json=FLAGS.output_json,
        export_dir=FLAGS.export_dir,
        batch_norm_batch_size=FLAGS.batch_norm_batch_size,
        flags_text=_flagfile(),
    )


def _given_data() -> frozenset[str]:
    """The fields of `DataConfig` that flags set and weights or data must not change."""
    names = {
        "image_size": FLAGS.input_image_size,
        "resize_method": FLAGS.resize_method,
        "num_classes": _given("num_label_classes"),
        "dataset": FLAGS.dataset or FLAGS.data_dir,
    }
    return frozenset(name for name, value in names.items() if value is not None)


def _fill(config_class: type, **values: object):
    """A config whose fields of the same name as a flag take the flag's value."""
    names = [name for name in config_class.__dataclass_fields__ if name in FLAGS]
    return config_class(**{**{name: FLAGS[name].value for name in names}, **values})


def _data_config(model: ModelConfig, dataset: str) -> DataConfig:
    return _fill(
        DataConfig,
        dataset=dataset,
        image_size=FLAGS.input_image_size or model.input_size,
        resize_method=FLAGS.resize_method or model.resize_method,
        num_classes=_given("num_label_classes"),
        num_train_images=_given("num_train_images"),
        num_eval_images=_given("num_eval_images"),
    )


def _train_config(model: ModelConfig, dataset: str) -> TrainConfig:
    model_dir = FLAGS.model_dir
    trains = FLAGS.mode in ("train", "train_and_eval")
    if not model_dir and (trains or FLAGS.mode == "summary" or not FLAGS.init_checkpoint):
        model_dir = os.path.join("runs", f"{model.name}-{dataset}")
    return _fill(TrainConfig, model_dir=model_dir)


def _distribution_config() -> DistributionConfig:
    strategy = FLAGS.distribution_strategy
    if FLAGS.use_tpu:
        if strategy not in (None, "tpu"):
            raise UserError(f"--use_tpu and --distribution_strategy={strategy} contradict")
        strategy = "tpu"
    return _fill(DistributionConfig, strategy=strategy)


_POSITIVE = [
    "train_steps",
    "train_batch_size",
    "eval_batch_size",
    "steps_per_eval",
    "iterations_per_loop",
    "log_step_count_steps",
    "num_label_classes",
    "num_train_images",
    "num_eval_images",
    "base_learning_rate",
    "lr_decay_epoch",
    "lr_decay_factor",
    "keep_checkpoint_max",
]
_FRACTIONS = [
    "label_smoothing",
    "moving_average_decay",
    "random_erasing",
    "dropout_rate",
    "survival_prob",
]
_MIN_IMAGE_SIZE = 32


def _check(arguments: Sequence[str]) -> None:
    """What can be said of the flags before TensorFlow is loaded."""
    if FLAGS.mode not in MODES:
        raise unknown_name("--mode", FLAGS.mode, MODES)
    if len(arguments) and FLAGS.mode not in ("predict", "convert"):
        raise UserError(f"{arguments[0]!r} is no flag; --mode={FLAGS.mode} takes no arguments")
    for name, _ in _BIGTABLE:
        if FLAGS[f"bigtable_{name}"].present:
            raise UserError(
                f"--bigtable_{name}: Bigtable input is gone from TensorFlow 2; use TFRecords with "
                "--data_dir"
            )
    for name in _POSITIVE:
        if not FLAGS[name].value > 0:
            raise UserError(f"--{name}={FLAGS[name].value} must be positive")
    for name in _FRACTIONS:
        value = FLAGS[name].value
        if value is not None and not 0 <= value <= 1:
            raise UserError(f"--{name}={value} must be between 0 and 1")
    size = FLAGS.input_image_size
    if size is not None and size < _MIN_IMAGE_SIZE:
        raise UserError(f"--input_image_size={size} must be at least {_MIN_IMAGE_SIZE}")
    if FLAGS.data_format not in ("channels_last", "channels_first"):
        raise UserError(f"--data_format={FLAGS.data_format}: channels_last or channels_first")


def _mention_what_has_no_effect() -> None:
    for name, default, why in _WITHOUT_EFFECT:
        if FLAGS[name].present and FLAGS[name].value != default:
            print(f"note: --{name} has no effect: {why}", file=sys.stderr)


def _flagfile() -> str:
    """The flags of this run: those given as a flagfile, the others as comments in it."""
    lines = []
    for flag in sorted(FLAGS.flags_by_module_dict()[__name__], key=lambda flag: flag.name):
        if flag.value is not None:
            lines.append(f"{'' if flag.present else '# '}{flag.serialize()}")
    return "\n".join(sorted(lines, key=lambda line: line.startswith("#"))) + "\n"
