"""What is done, and with which network and weights."""

from efficientnet_tf.arch import block_string
from efficientnet_tf.run.flag_checks import (
    block_strings,
    choice,
    coefficient,
    count_from_0,
    filters,
    fraction,
    fraction_below_1,
    image_size,
    num_classes,
    phi,
    positive,
    seeds,
    some_of,
)
from efficientnet_tf.run.flag_row import OF_DATA, OF_NETWORK, Flag, everyday

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

WHAT_TO_DO = (
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
)

NETWORK = (
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
        unset=OF_NETWORK,
    ),
    Flag(
        "resize_method",
        "data",
        "kernel that resizes images",
        choice("bicubic", "bilinear"),
        unset=OF_NETWORK,
    ),
    Flag(
        "num_label_classes",
        "data.num_classes",
        "classes; one more than the data has adds a background class",
        num_classes,
        unset=OF_DATA,
    ),
    everyday(
        "dropout_rate",
        "overrides",
        "share of features dropped before the classifier",
        fraction_below_1,
        unset=OF_NETWORK,
    ),
    Flag(
        "survival_prob",
        "overrides",
        "stochastic depth: survival of the last block's branch, 1 for none",
        fraction,
        unset=OF_NETWORK,
    ),
    Flag(
        "width_coefficient",
        "overrides",
        "multiplies the numbers of filters",
        coefficient,
        unset=OF_NETWORK,
    ),
    Flag(
        "depth_coefficient",
        "overrides",
        "multiplies the numbers of blocks",
        coefficient,
        unset=OF_NETWORK,
    ),
    Flag(
        "blocks_args",
        "overrides.blocks",
        "stages of a network of your own, r1_k3_s11_e1_i32_o16_se0.25 r2_..., before scaling",
        block_strings,
        unset=OF_NETWORK,
        reads=block_string.parse_all,
        writes=block_string.format_all,
    ),
    Flag("stem_filters", "overrides", "of the first convolution", filters, unset=OF_NETWORK),
    Flag("head_filters", "overrides", "of the last convolution", filters, unset=OF_NETWORK),
    Flag(
        "batch_norm_momentum",
        "overrides",
        "weight of the old value in the moving statistics",
        fraction,
        unset=OF_NETWORK,
    ),
    Flag("batch_norm_epsilon", "overrides", "added to the variance", positive, unset=OF_NETWORK),
)

WEIGHTS = (
    everyday(
        "init_checkpoint",
        "train",
        "weights to start from or evaluate: a run, a file, a published set",
    ),
    Flag(
        "quantize_aware",
        "overrides",
        "train with the rounding of an int8 network, see docs/quantization.md",
    ),
    everyday("freeze", "train", "do not train all (but the classifier), stem, or blocks<=N"),
    everyday("freeze_bn", "train", "batch norm runs on its moving statistics"),
)
