"""The flags that do something, by topic; their rows are in `flag_topics`.

The original's 62 flags keep their names and meanings; those of them that do nothing here are in
`idle_flags`. Differences from the original's defaults:
1. `use_tpu` is off; `use_bfloat16` and `num_replicas` are decided by the device.
2. Without `data_dir` the data are synthetic; the original read a bucket of fake ImageNet.
3. The numbers of classes and images are the data's own unless their flags are given.
"""

from efficientnet_tf.run.flag_row import Flag
from efficientnet_tf.run.flag_topics import data, output, task, training
from efficientnet_tf.run.idle_flags import BIGTABLE, WITHOUT_EFFECT

# `everyday` rows are shown by --help, all rows by --helpfull.
TOPICS: dict[str, tuple[Flag, ...]] = {
    "What to do": task.WHAT_TO_DO,
    "Network": task.NETWORK,
    "Weights": task.WEIGHTS,
    "Data": data.DATA,
    "Augmentation": data.AUGMENTATION,
    "Training": training.TRAINING,
    "Optimizer": training.OPTIMIZER,
    "Evaluation": training.EVALUATION,
    "Devices": output.DEVICES,
    "Output": output.OUTPUT,
    "Accepted without effect": WITHOUT_EFFECT,
    "Refused, as TensorFlow 2 has no Bigtable input": BIGTABLE,
}

ALL_FLAGS: dict[str, Flag] = {flag.name: flag for rows in TOPICS.values() for flag in rows}
