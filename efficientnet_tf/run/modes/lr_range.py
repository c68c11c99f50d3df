"""`--mode=lr_range`."""

import numpy as np
import tensorflow as tf

from efficientnet_tf.config import RunConfig, UserError
from efficientnet_tf.csv_text import csv_text
from efficientnet_tf.run.announcement import say_memory
from efficientnet_tf.run.chart import LogChart
from efficientnet_tf.run.session import explained, open_session
from efficientnet_tf.run.steps import build_loop, build_step
from efficientnet_tf.train.progress import Progress
from efficientnet_tf.train.rate_range import RateRange, growing_rate, measure


def lr_range(config: RunConfig) -> None:
    """Trains with a growing rate from where the run begins, and names a `--base_learning_rate`.

    The run's folder gets a picture and a table, and stays otherwise as it is.

    Raises:
      UserError: the loss never fell; picture and table are written all the same.
    """
    session = open_session(config, training=True, afresh=True)
    steps = session.config.train.lr_range_steps
    batch_size = session.config.data.train_batch_size
    schedule = growing_rate(steps)
    train_step, report, memory = build_step(session, schedule)
    if report:
        session.say(report)
    say_memory(session, memory)
    loop = build_loop(session, train_step, start=0)
    progress = Progress(
        "lr_range", steps, images_per_unit=batch_size, enabled=session.verbose and session.is_chief
    )
    with explained(session.source, lambda: 0, memory):
        test = measure(loop, schedule, steps, progress)
    if not session.is_chief:
        return
    rate = test.good_rate
    session.folder.write_text("lr_range.csv", _table(test))
    picture = session.folder.file("lr_range.png")
    tf.io.write_file(picture, tf.io.encode_png(_draw(test, batch_size)))
    if rate is None:
        raise UserError(f"the loss rose from the first step on, see {picture}; are these weights "
                        "and labels what the data need?")  # fmt: skip
    session.say(
        f"--base_learning_rate={_base(rate, batch_size)} is a good one for --train_batch_size="
        f"{batch_size}, see {picture}"
    )


def _base(rate: float, batch_size: int) -> str:
    """`--base_learning_rate`, which is for a batch of 256, where a step has this rate."""
    return f"{rate * 256 / batch_size:.2g}"


def _table(test: RateRange) -> str:
    rows = zip(test.rates, test.losses, test.smoothed, strict=True)
    lines = ([step, *(f"{value:.6g}" for value in row)] for step, row in enumerate(rows))
    return csv_text([["step", "learning_rate", "loss", "smoothed_loss"], *lines])


def _draw(test: RateRange, batch_size: int) -> np.ndarray:
    """Loss over rate, up to half above where it began; uint8 [H, W, 3]."""
    smoothed = test.smoothed
    low, high = 0.9 * min(test.losses), 1.5 * smoothed[0]
    chart = LogChart(
        (test.rates[0], test.rates[-1]),
        (low, high),
        "Learning-rate range test",
        f"learning rate of a step of {batch_size} images",
        "training loss: each step (grey), smoothed (blue)",
    )
    chart.curve(test.rates, test.losses, "silver", 1)
    chart.curve(test.rates, smoothed, "steelblue", 3)
    if rate := test.good_rate:
        label = f"{rate:.2g}, --base_learning_rate={_base(rate, batch_size)}"
        chart.mark(rate, label, "firebrick")
    return chart.pixels()
