"""Flags of the original that do nothing in TensorFlow 2: its command lines still run."""

from efficientnet_tf.run.flag_checks import at_least, choice, count, whole
from efficientnet_tf.run.flag_row import Flag

# Accepted; a line says why the flag has no effect, where its value is not the default.
WITHOUT_EFFECT = (
    Flag("tpu_job_name", None, "TensorFlow 2 finds the TPU's job itself", default=""),
    Flag(
        "num_parallel_calls",
        None,
        "tf.data tunes its parallelism itself",
        whole(at_least(-1)),
        default=64,
    ),
    Flag(
        "data_format",
        None,
        "TensorFlow 2 chooses the layout for the device",
        choice("channels_first", "channels_last"),
        default="channels_last",
    ),
    Flag("transpose_input", None, "XLA lays out the input itself", default=True),
    Flag("export_to_tpu", None, "a SavedModel serves on TPU as it is", default=False),
    Flag("num_replicas", None, "the devices determine it", count, default=32),
)

# Refused: they name data that cannot be read.
BIGTABLE = tuple(
    Flag(f"bigtable_{name}", None, "use TFRecords with --data_dir", default="")
    for name in (
        "project",
        "instance",
        "table",
        "train_prefix",
        "eval_prefix",
        "column_family",
        "column_qualifier",
    )
)
