"""Every flag of the command line: name, default, meaning. Its type is the default's."""

from absl import flags

MODES = ("train_and_eval", "train", "eval", "predict", "convert", "summary")

# (name, default, help); flags whose default is None are in the tables below.
VALUES = (
    ("use_tpu", False, "train on a TPU; see --tpu"),
    ("archive_ckpt", True, "copy the best checkpoint by top-1 to <model_dir>/archive"),
    ("model_name", "efficientnet-b0", "the network; --mode=summary lists all"),
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
    ("seed", 0, "of initial weights, data order and split, augmentation, dropout"),
    ("min_crop_area", 0.08, "smallest part of the image a training crop may keep"),
    ("horizontal_flip", True, "mirror half of the training images"),
    ("cutmix_alpha", 0.0, "CutMix's Beta parameter, 0 for none"),
    ("random_erasing", 0.0, "probability of blanking a box of a training image"),
    ("max_bad_examples", 0, "undecodable examples to skip per epoch before it is an error"),
    ("freeze_bn", False, "fine-tuning: batch norm runs on its moving statistics"),
    ("keep_checkpoint_max", 5, "newest checkpoints kept"),
)
STRINGS = (
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
    ("freeze", "fine-tuning: do not train all (but the classifier), stem, or blocks<=N"),
    ("output_json", "--mode=predict: write the predictions here"),
    ("distribution_strategy", "default, mirrored, multi_worker_mirrored or tpu"),
    ("resize_method", "bicubic or bilinear; the network's own unless given"),
    ("tf_data_service", "address of a tf.data service for the input pipeline, or local"),
)
INTEGERS = (
    ("holdout_shards", "evaluate on this many leading training shards"),
    ("input_image_size", "side of the input in pixels; the network's own unless given"),
    ("eval_timeout", "--mode=eval: wait this many seconds for each next checkpoint"),
    ("batch_norm_replicas", "replicas that normalise together; the original's rule unless given"),
)
FLOATS = (
    ("batch_norm_momentum", "of the moving statistics; the network's own unless given"),
    ("batch_norm_epsilon", "the network's own unless given"),
    ("dropout_rate", "before the classifier; the network's own unless given"),
    ("survival_prob", "of the last block's branch; the network's own unless given"),
    ("depth_coefficient", "the network's own unless given"),
    ("width_coefficient", "the network's own unless given"),
)
# Accepted so that the original's command lines run; (name, default, why it does nothing).
WITHOUT_EFFECT = (
    ("tpu_job_name", "", "TensorFlow 2 finds the TPU's job itself"),
    ("num_parallel_calls", 64, "tf.data tunes its parallelism itself"),
    ("data_format", "channels_last", "TensorFlow 2 chooses the layout for the device"),
    ("transpose_input", True, "XLA lays out the input itself"),
    ("export_to_tpu", False, "a SavedModel serves on TPU as it is"),
    ("use_async_checkpointing", False, "it served TPUEstimator"),
    ("num_replicas", 32, "the devices determine it"),
)
BIGTABLE = (
    ("project", ""),
    ("instance", ""),
    ("table", "imagenet"),
    ("train_prefix", "train_"),
    ("eval_prefix", "validation_"),
    ("column_family", "tfexample"),
    ("column_qualifier", "example"),
)


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
    for name, default, text in VALUES:
        _define(name, default, text)
    for name, default, why in WITHOUT_EFFECT:
        _define(name, default, f"accepted, without effect: {why}")
    for name, default in BIGTABLE:
        _define(f"bigtable_{name}", default, "not supported: Bigtable input is gone from TF 2")
    for name, text in STRINGS:
        flags.DEFINE_string(name, None, text)
    for name, text in INTEGERS:
        flags.DEFINE_integer(name, None, text)
    for name, text in FLOATS:
        flags.DEFINE_float(name, None, text)
    flags.DEFINE_bool("use_bfloat16", None, "compute in bfloat16; decided by the device")
