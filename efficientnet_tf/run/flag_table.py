"""The flags that do something, one row each, by topic. A new flag is a new row.

The original's 62 flags keep their names and meanings; those of them that do nothing here are in
`idle_flags`. Differences from the original's defaults:
1. `use_tpu` is off; `use_bfloat16` and `num_replicas` are decided by the device.
2. Without `data_dir` the data are synthetic; the original read a bucket of fake ImageNet.
3. The numbers of classes and images are the data's own unless their flags are given.
"""

from efficientnet_tf.arch import block_string
from efficientnet_tf.config import NAN_POLICIES, REMAT
from efficientnet_tf.exports.formats import FORMATS
from efficientnet_tf.run.flag_checks import (
    batch_size,
    block_strings,
    choice,
    coefficient,
    count,
    count_from_0,
    filters,
    fraction,
    fraction_above_0,
    fraction_below_1,
    from_0,
    image_size,
    layers,
    num_classes,
    phi,
    positive,
    range_steps,
    rate,
    seeds,
    some_of,
    strength,
)
from efficientnet_tf.run.flag_row import Flag, everyday
from efficientnet_tf.run.idle_flags import BIGTABLE, WITHOUT_EFFECT

MODES = (
    "train_and_eval",
    "train",
    "eval",
    "predict",
    "convert",
    "export",
    "summary",
    "lr_range",
    "benchmark",
    "study",
    "prepare",
    "data_service",
)

BENCHMARKS = ("train", "inference", "input")

STUDIES = ("grid", "single_axis", "family", "latency", "experiment", "activation_maps")

# What holds while a flag is absent.
_network = "the network's own"
_data = "the data's own"

# `everyday` rows are shown by --help, all rows by --helpfull.
TOPICS: dict[str, tuple[Flag, ...]] = {
    "What to do": (
        everyday("mode", "run", "the task", choice(*MODES)),
        Flag(
            "benchmark",
            "run",
            f"--mode=benchmark: what is measured, some of {','.join(BENCHMARKS)}",
            some_of(*BENCHMARKS),
            unset="train,inference",
        ),
        Flag(
            "study",
            "run",
            "--mode=study: of scaling, see docs/scaling.md",
            choice(*STUDIES),
        ),
        Flag(
            "study_phi",
            "run",
            "--mode=study: compound coefficient that grid, single_axis and experiment scale by",
            phi,
            unset="1 for grid, 1 to 4 for single_axis, 2 for experiment",
        ),
        Flag("study_seeds", "run", "--study=experiment: runs of each network", seeds, unset="5"),
        everyday(
            "seed",
            "data",
            "of initial weights, data order and split, augmentation, dropout",
            count_from_0,
            also="train.seed",
        ),
    ),
    "Network": (
        everyday(
            "model_name",
            "run",
            "network, see --mode=summary",
            unset="the weights' own, else efficientnet-b0",
        ),
        everyday(
            "input_image_size",
            "data.image_size",
            "side of the input in pixels",
            image_size,
            unset=_network,
        ),
        Flag(
            "resize_method",
            "data",
            "kernel that resizes images",
            choice("bicubic", "bilinear"),
            unset=_network,
        ),
        Flag(
            "num_label_classes",
            "data.num_classes",
            "classes; one more than the data has adds a background class",
            num_classes,
            unset=_data,
        ),
        everyday(
            "dropout_rate",
            "overrides",
            "share of features dropped before the classifier",
            fraction_below_1,
            unset=_network,
        ),
        Flag(
            "survival_prob",
            "overrides",
            "stochastic depth: survival of the last block's branch, 1 for none",
            fraction,
            unset=_network,
        ),
        Flag(
            "width_coefficient",
            "overrides",
            "multiplies the numbers of filters",
            coefficient,
            unset=_network,
        ),
        Flag(
            "depth_coefficient",
            "overrides",
            "multiplies the numbers of blocks",
            coefficient,
            unset=_network,
        ),
        Flag(
            "blocks_args",
            "overrides.blocks",
            "stages of a network of your own, r1_k3_s11_e1_i32_o16_se0.25 r2_..., before scaling",
            block_strings,
            unset=_network,
            reads=block_string.parse_all,
            writes=block_string.format_all,
        ),
        Flag("stem_filters", "overrides", "of the first convolution", filters, unset=_network),
        Flag("head_filters", "overrides", "of the last convolution", filters, unset=_network),
        Flag(
            "batch_norm_momentum",
            "overrides",
            "weight of the old value in the moving statistics",
            fraction,
            unset=_network,
        ),
        Flag("batch_norm_epsilon", "overrides", "added to the variance", positive, unset=_network),
    ),
    "Weights": (
        everyday(
            "init_checkpoint",
            "train",
            "weights to start from or evaluate: a run, a file, a published set",
        ),
        everyday("freeze", "train", "do not train all (but the classifier), stem, or blocks<=N"),
        everyday("freeze_bn", "train", "batch norm runs on its moving statistics"),
    ),
    "Data": (
        everyday(
            "dataset",
            "data",
            "tfrecord, folder, csv, digits, idx (as MNIST), synthetic, or a tfds builder's name",
            unset="tfrecord with --data_dir, else synthetic",
        ),
        everyday("data_dir", "data", "folder of the data set"),
        everyday(
            "train_batch_size", "data", "training examples per step over all replicas", batch_size
        ),
        Flag("num_train_images", "data", "images in an epoch", count, unset=_data),
        Flag("use_cache", "data", "keep undecoded records in memory"),
        Flag(
            "max_bad_examples",
            "data",
            "undecodable examples to skip per epoch before it is an error",
            count_from_0,
        ),
        Flag(
            "tf_data_service",
            "data",
            "address of a tf.data service for the input pipeline, or local",
        ),
        Flag(
            "prepared_dir",
            "run",
            "--mode=prepare: write the data as TFRecord shards into this folder",
        ),
        Flag(
            "num_shards",
            "run",
            "--mode=prepare: training and evaluation shards, 1024,128",
            unset="one for each 1,250 images",
        ),
        Flag(
            "role",
            "run",
            "--mode=data_service: what this process of the service at --tf_data_service is",
            choice("dispatcher", "worker"),
        ),
    ),
    "Augmentation": (
        everyday(
            "augment_name", "data", "the policy", choice("autoaugment", "randaugment"), unset="none"
        ),
        Flag("randaug_num_layers", "data", "RandAugment: operations per image", layers),
        Flag(
            "randaug_magnitude",
            "data",
            "RandAugment: strength; 10 is each operation's nominal range",
            strength,
        ),
        everyday("mixup_alpha", "data", "mixup's Beta parameter, 0 for none", from_0),
        Flag("cutmix_alpha", "data", "CutMix's Beta parameter, 0 for none", from_0),
        Flag(
            "random_erasing", "data", "probability of blanking a box of a training image", fraction
        ),
        everyday(
            "min_crop_area",
            "data",
            "smallest part of the image that a training crop may keep",
            fraction_above_0,
        ),
        everyday("horizontal_flip", "data", "mirror half of the training images"),
    ),
    "Training": (
        everyday(
            "train_steps",
            "train",
            "optimizer steps in total",
            count,
        ),
        everyday(
            "train_epochs", "train", "the same in epochs, in place of --train_steps", positive
        ),
        everyday("steps_per_eval", "train", "training steps between evaluations", count),
        everyday(
            "eval_every_epochs",
            "train",
            "the same in epochs, in place of --steps_per_eval",
            positive,
        ),
        Flag(
            "early_stopping_evals",
            "train",
            "end after so many evaluations without a new best",
            count,
            unset="never",
        ),
        Flag("iterations_per_loop", "train", "steps inside one call of the device", count),
        Flag(
            "grad_accum_steps",
            "train",
            "parts in which a replica computes its batch, to save memory",
            count,
        ),
        Flag(
            "remat",
            "train",
            "compute the inside of blocks again in the backward pass, to save memory",
            choice(*REMAT),
        ),
        Flag(
            "loss",
            "train",
            "objective; sigmoid and focal are for any number of labels an image",
            choice("softmax", "sigmoid", "focal"),
            unset="the run's own, else softmax",
        ),
        Flag(
            "class_weights",
            "train",
            "balanced, or a JSON or CSV file of each class's weight in the loss",
            unset="none",
        ),
        Flag("label_smoothing", "train", "share of each label spread over all classes", fraction),
        Flag(
            "weight_decay", "train", "L2 coefficient over all variables outside batch norm", from_0
        ),
        everyday(
            "moving_average_decay",
            "train",
            "decay of the weights' moving average, 0 for none",
            fraction,
        ),
        Flag(
            "moving_average_span",
            "train",
            "share of the steps done that the average spans, until its decay is reached",
            fraction_above_0,
        ),
        Flag(
            "nan_policy",
            "train",
            "a loss or weights that are no numbers: stop, or go back to the last checkpoint and on "
            "with the images in another order, at most three times",
            choice(*NAN_POLICIES),
        ),
        Flag(
            "allow_config_change",
            "run",
            "go on with a run though its settings differ from before",
        ),
        Flag(
            "batch_norm_replicas",
            "train",
            "replicas that normalise together",
            count,
            unset="the original's rule",
        ),
        Flag(
            "batch_norm_batch_size",
            "train",
            "with LARS: examples that are normalised together",
            batch_size,
        ),
    ),
    "Optimizer": (
        Flag(
            "optimizer",
            "optimizer",
            "the update rule",
            choice("rmsprop", "momentum", "sgd", "lars", "adamw"),
        ),
        everyday(
            "base_learning_rate",
            "optimizer",
            "learning rate for a batch of 256, scaled to the batch in use",
            rate,
        ),
        everyday(
            "lr_schedule",
            "optimizer",
            "rate schedule",
            choice("exponential", "cosine", "constant", "polynomial"),
            synonyms={"poly": "polynomial"},
        ),
        Flag("lr_warmup_epochs", "optimizer", "epochs of linear warm-up", from_0),
        Flag(
            "lr_warmup_share",
            "optimizer",
            "warm-up as a share of the run, in place of --lr_warmup_epochs",
            fraction,
        ),
        Flag(
            "layer_decay",
            "optimizer",
            "factor of the rate from each stage to the one below it, 1 for none",
            fraction_above_0,
        ),
        Flag("gradient_clip_norm", "optimizer", "largest norm of the gradients, 0 for any", from_0),
        Flag(
            "lr_decay_epoch",
            "optimizer",
            "exponential schedule: epochs between two decays",
            positive,
        ),
        Flag("lr_decay_factor", "optimizer", "exponential schedule: factor of one decay", positive),
        Flag(
            "lr_range_steps",
            "train",
            "--mode=lr_range: steps, each with a higher learning rate",
            range_steps,
        ),
        Flag("lars_weight_decay", "optimizer", "weight decay inside LARS", from_0),
        Flag("lars_epsilon", "optimizer", "epsilon inside LARS", from_0),
        Flag("adamw_weight_decay", "optimizer", "decoupled weight decay of AdamW", from_0),
    ),
    "Evaluation": (
        everyday(
            "eval_batch_size", "data", "evaluation examples per step over all replicas", batch_size
        ),
        Flag("num_eval_images", "data", "images to evaluate", count, unset=_data),
        Flag(
            "holdout_shards",
            "data",
            "evaluate on this many leading training shards",
            count,
            unset="the evaluation split",
        ),
        Flag("eval_name", "train", "suffix of this evaluation's TensorBoard folder"),
        Flag(
            "eval_timeout",
            "train",
            "--mode=eval: wait this many seconds for each next checkpoint",
            count_from_0,
        ),
    ),
    "Devices": (
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
        everyday(
            "use_tpu", None, "compute on a TPU, as --distribution_strategy=tpu", default=False
        ),
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
    ),
    "Output": (
        everyday(
            "model_dir", "train", "the run's folder", unset="runs/<model>-<dataset> in training"
        ),
        everyday(
            "export_dir", "run", "new folder: --mode=export, or training at its end, writes it"
        ),
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
        Flag(
            "explain", "run", "--mode=predict: draw what speaks for each prediction, in this folder"
        ),
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
    ),
    "Accepted without effect": WITHOUT_EFFECT,
    "Refused, as TensorFlow 2 has no Bigtable input": BIGTABLE,
}

ALL_FLAGS: dict[str, Flag] = {flag.name: flag for rows in TOPICS.values() for flag in rows}
