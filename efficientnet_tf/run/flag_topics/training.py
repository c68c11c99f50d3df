"""Training and evaluation."""

from efficientnet_tf.config import NAN_POLICIES, REMAT
from efficientnet_tf.run.flag_checks import (
    batch_size,
    choice,
    count,
    count_from_0,
    fraction,
    fraction_above_0,
    from_0,
    positive,
    range_steps,
    rate,
)
from efficientnet_tf.run.flag_row import OF_DATA, Flag, everyday

TRAINING = (
    everyday(
        "train_steps",
        "train",
        "optimizer steps in total",
        count,
    ),
    everyday("train_epochs", "train", "the same in epochs, in place of --train_steps", positive),
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
    Flag("weight_decay", "train", "L2 coefficient over all variables outside batch norm", from_0),
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
)

OPTIMIZER = (
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
)

EVALUATION = (
    everyday(
        "eval_batch_size", "data", "evaluation examples per step over all replicas", batch_size
    ),
    Flag("num_eval_images", "data", "images to evaluate", count, unset=OF_DATA),
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
)
