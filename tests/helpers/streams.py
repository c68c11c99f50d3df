"""Runs the streams of a data configuration as a training loop would, and tells failures alike."""

import tensorflow as tf

from efficientnet_tf import data
from efficientnet_tf.config import DataConfig

# As in `session.explained`.
FAILURES = (tf.errors.OpError, UnicodeDecodeError)


def eval_labels(config, source=None, batch_size=4, **host):
    """The labels of an evaluation up to its black padding; failures as `explain` tells them."""
    source = source or data.open_source(config)
    labels = []
    try:
        for batch in data.eval_dataset(source, config, batch_size, **host):
            found = batch["label"].numpy()
            if (found < 0).all():
                assert not batch["image"].numpy().any()
                return labels
            labels += found[found >= 0].tolist()
    except FAILURES as error:
        raise data.explain(error, source) from error


def open_at(folder, **changes):
    return data.open_source(config_for(folder, **changes))


def train_batches(config, count, batch_size=4, **where):
    source = data.open_source(config)
    try:
        return list(data.train_dataset(source, config, batch_size, **where).take(count))
    except FAILURES as error:
        raise data.explain(error, source, start_step=0) from error


def config_for(folder, **changes):
    return DataConfig(
        data_dir=str(folder), image_size=32, resize_method="bicubic", train_batch_size=4, **changes
    )
