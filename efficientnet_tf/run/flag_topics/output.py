"""The devices, and what a run writes."""

from efficientnet_tf.exports.formats import FORMATS
from efficientnet_tf.run.flag_checks import (
    choice,
    count,
    count_from_0,
    fraction,
    positive,
    some_of,
)
from efficientnet_tf.run.flag_row import Flag, everyday

DEVICES = (
    everyday(
        "distribution_strategy",
        "distribution.strategy",
        "strategy",
        choice("default", "mirrored", "multi_worker_mirrored", "tpu"),
        unset="the machine's",
    ),
    Flag(
        "worker_hosts",
        "distribution",
        "address host:port of each worker, separated by commas, in all workers the same",
        unset="those of TF_CONFIG or srun",
    ),
    Flag("task_index", "distribution", "this worker's place in --worker_hosts", count_from_0),
    everyday("use_tpu", None, "compute on a TPU, as --distribution_strategy=tpu", default=False),
    everyday("tpu", "distribution", "name or address of the TPU; local on a TPU VM"),
    Flag("tpu_zone", "distribution", "zone of the TPU"),
    Flag("gcp_project", "distribution", "project of the TPU"),
    everyday("use_bfloat16", "distribution", "compute in bfloat16", unset="on a TPU only"),
    Flag(
        "use_float16",
        "distribution",
        "compute in float16 with a loss scale, for GPUs without bfloat16",
    ),
    Flag("use_xla", "distribution", "compile the step of each replica, for GPUs"),
)

OUTPUT = (
    everyday("model_dir", "train", "the run's folder", unset="runs/<model>-<dataset> in training"),
    everyday("export_dir", "run", "new folder: --mode=export, or training at its end, writes it"),
    Flag(
        "export_formats",
        "export",
        f"what it is written in, some of {','.join(FORMATS)}",
        some_of(*FORMATS),
    ),
    Flag(
        "calibration_data",
        "export",
        "a folder of pictures to calibrate formats of whole numbers with",
        unset="training pictures of the data",
    ),
    Flag("num_calibration_images", "export", "how many of them", count),
    Flag(
        "min_agreement",
        "export",
        "share of the pictures that a format must agree on with the Keras model",
        fraction,
        unset="0.99, in whole numbers 0.95",
    ),
    Flag(
        "int16_layers",
        "export",
        "litert_mixed: patterns of the layers with 16-bit activations, with commas",
    ),
    Flag("float_layers", "export", "litert_mixed: the same of layers in floating point"),
    everyday("output_json", "run", "--mode=predict: write here, .json, .jsonl or .csv"),
    Flag("explain", "run", "--mode=predict: draw what speaks for each prediction, in this folder"),
    Flag(
        "eval_report",
        "run",
        "--mode=eval: write results by class, confusion matrix and worst pictures here",
    ),
    Flag("archive_ckpt", "train", "copy the best checkpoint to <model_dir>/archive"),
    Flag("keep_checkpoint_max", "train", "newest checkpoints kept", count),
    Flag(
        "keep_checkpoint_every_epochs",
        "train",
        "keep a checkpoint for good every so many epochs",
        positive,
        unset="the newest alone",
    ),
    Flag(
        "use_async_checkpointing",
        "train",
        "write checkpoints while training goes on",
    ),
    Flag("log_step_count_steps", "train", "steps between points in TensorBoard", count),
    Flag("skip_host_call", "train", "write no TensorBoard summaries"),
    Flag(
        "profile_steps",
        "train",
        "profile from this step to that one, 10,20, for TensorBoard",
        unset="none",
    ),
)
