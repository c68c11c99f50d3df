"""The images and what happens to them."""

from efficientnet_tf.run.flag_checks import (
    batch_size,
    choice,
    count,
    count_from_0,
    fraction,
    fraction_above_0,
    from_0,
    layers,
    strength,
)
from efficientnet_tf.run.flag_row import OF_DATA, Flag, everyday

DATA = (
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
    Flag("num_train_images", "data", "images in an epoch", count, unset=OF_DATA),
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
)

AUGMENTATION = (
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
    Flag("random_erasing", "data", "probability of blanking a box of a training image", fraction),
    everyday(
        "min_crop_area",
        "data",
        "smallest part of the image that a training crop may keep",
        fraction_above_0,
    ),
    everyday("horizontal_flip", "data", "mirror half of the training images"),
)
