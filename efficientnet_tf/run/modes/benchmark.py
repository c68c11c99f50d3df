"""`--mode=benchmark`."""

import dataclasses
import json
import math
import sys
import tempfile
from collections.abc import Callable

import tensorflow as tf

from efficientnet_tf import data
from efficientnet_tf.config import RunConfig, UserError
from efficientnet_tf.exports.frozen import inference_function
from efficientnet_tf.pace import Pace, measure_pace
from efficientnet_tf.run.session import Session, explained, open_session
from efficientnet_tf.run.step_memory import step_memory
from efficientnet_tf.run.steps import build_loop, build_step
from efficientnet_tf.train.schedule import build_schedule

_DEFAULT = "train,inference"
_SECONDS = 5.0  # of each measurement
_MOST_STEPS = 8  # of one call
_RUN = 65_536  # steps of the run whose first ones are measured: the rate's schedule wants an end


def benchmark(config: RunConfig) -> None:
    """Images per second of training, inference and the input pipeline, on this device.

    Training and inference get noise that is in memory already; `input` reads, decodes and augments
    the data that the flags name. A batch that does not fit is halved. The last line is JSON.

    Raises:
      UserError: not even one image fits, or a part is asked for that cannot be measured here.
    """
    parts = (config.benchmark or _DEFAULT).split(",")
    _check(config, parts)
    results = {}
    for part in parts:
        batch, pace = _PARTS[part](config)
        results[part] = {"batch": batch, **_numbers(pace)}
        print(f"{part:<10}{_in_words(batch, pace)}", flush=True)
    if {"train", "input"} <= results.keys():
        print(_bottleneck(results["train"], results["input"]))
    print(json.dumps({**results, "peak_memory_gib": round(_peak_bytes() / 2**30, 2)}))


def _check(config: RunConfig, parts: list[str]) -> None:
    if "input" in parts and config.data.source_name == "synthetic":
        raise UserError("--benchmark=input reads data: name them with --dataset or --data_dir, or "
                        "leave it out: --benchmark=train,inference")  # fmt: skip
    if "inference" in parts and config.distribution.uses_tpu:
        raise UserError("--benchmark=inference is for a CPU or a GPU; on a TPU: --benchmark=train")


def _train(config: RunConfig) -> tuple[int, Pace]:
    return _fitting(config, config.data.train_batch_size, _train_pace)


def _inference(config: RunConfig) -> tuple[int, Pace]:
    return _fitting(config, config.data.eval_batch_size, _inference_pace)


def _input(config: RunConfig) -> tuple[int, Pace]:
    """Batches as one host of a run makes them."""
    session = _open(config, config.data.train_batch_size)
    batch = session.share("train_batch_size")
    batches = iter(data.train_dataset(session.source, session.config.data, batch))
    with explained(session.source, lambda: 0):
        return batch, measure_pace(lambda: next(batches), batch, _SECONDS)


_PARTS = {"train": _train, "inference": _inference, "input": _input}


def _train_pace(session: Session) -> Pace:
    """The recipe's whole step, several in one call where a step is short."""
    batch = session.config.data.train_batch_size
    train_step, _, _ = build_step(
        session, build_schedule(session.config.optimizer, batch, _RUN, _RUN)
    )
    loop = build_loop(session, train_step, start=0)
    steps = min(_MOST_STEPS, math.ceil(256 / batch))
    return measure_pace(lambda: loop.run(steps), steps * batch, _SECONDS)


def _inference_pace(session: Session) -> Pace:
    size, batch = session.config.data.image_size, session.config.data.eval_batch_size
    infer = inference_function(session.model)
    images = tf.random.stateless_uniform([batch, size, size, 3], [0, 0], 0.0, 255.0)
    return measure_pace(lambda: infer(images).numpy(), batch, _SECONDS)


def _fitting(config: RunConfig, batch: int, measure: Callable[[Session], Pace]) -> tuple[int, Pace]:
    """Measures on noise with the batch or, where that does not fit, a half, a quarter, ... of it.

    Main memory that is exhausted ends a program, so what the estimate says will not fit is not
    tried.
    """
    noise = dataclasses.replace(config.data, dataset="synthetic", data_dir=None)
    config, wanted = dataclasses.replace(config, data=noise), batch
    while batch:
        session = _open(config, batch)
        try:
            if _fits(session):
                if batch < wanted:
                    print(f"a batch of {wanted} does not fit; the largest half of it that does "
                          f"is {batch}")  # fmt: skip
                return batch, measure(session)
        except tf.errors.ResourceExhaustedError:
            pass
        batch = _half(batch, session.strategy.num_replicas_in_sync)
    raise UserError(f"not even the smallest batch fits; a smaller --input_image_size than "
                    f"{session.config.data.image_size} does")  # fmt: skip


def _half(batch: int, replicas: int) -> int:
    """The nearest multiple of the replicas below, 0 if there is none."""
    return batch // 2 // replicas * replicas


def _fits(session: Session) -> bool:
    """Whether a training step would, by the estimate: weights, gradients, slots and averages."""
    model = session.model
    return step_memory(
        session.config, session.network, session.strategy, model.compute_dtype, 4 * model.weights
    ).fits


def _open(config: RunConfig, batch: int) -> Session:
    """A session for such batches that goes on from no weights and writes nothing."""
    images = dataclasses.replace(config.data, train_batch_size=batch, eval_batch_size=batch)
    with tempfile.TemporaryDirectory() as folder:
        train = dataclasses.replace(
            config.train,
            init_checkpoint=None,
            model_dir=f"{folder}/none",
            skip_host_call=True,
            iterations_per_loop=_MOST_STEPS,
            steps_per_eval=_MOST_STEPS,
            log_step_count_steps=_MOST_STEPS,
        )
        config = dataclasses.replace(config, mode="train", data=images, train=train)
        return open_session(config, training=True, verbose=False)


def _numbers(pace: Pace) -> dict[str, float]:
    slowest, fastest = pace.spread
    return {
        "images_per_second": round(pace.images_per_second, 2),
        "slowest": round(slowest, 2),
        "fastest": round(fastest, 2),
        "processor_ms_per_image": round(pace.processor_ms, 3),
        "first_call_seconds": round(pace.first, 2),
    }


def _in_words(batch: int, pace: Pace) -> str:
    slowest, fastest = pace.spread
    return (
        f"{pace.images_per_second:10,.1f} images/s ({slowest:,.1f} to {fastest:,.1f}), "
        f"batch {batch}, {pace.processor_ms:.2f} ms of processor an image, "
        f"first call {pace.first:.1f} s"
    )


def _bottleneck(train: dict, pipeline: dict) -> str:
    ratio = pipeline["images_per_second"] / train["images_per_second"]
    if ratio < 1:
        return f"the input pipeline is the bottleneck: it feeds {ratio:.0%} of what the step takes"
    return f"the step is the bottleneck: the input pipeline feeds {ratio:.1f} times what it takes"


def _peak_bytes() -> int:
    """The most memory so far: of the first GPU, else of this process."""
    if tf.config.list_logical_devices("GPU"):
        return tf.config.experimental.get_memory_info("GPU:0")["peak"]
    import resource  # not on Windows

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
