"""Is compound scaling better? A baseline scaled four ways at equal multiply-adds, each trained.

What is trained, and for how long, is a `RunConfig`; who trains it is the caller's business. Every
network of a seed gets the same initial seed, order of the data and augmentation.
"""

import dataclasses
import hashlib
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from efficientnet_tf.arch.cost import total
from efficientnet_tf.config import DataConfig, ModelConfig, RunConfig, TrainConfig, UserError
from efficientnet_tf.study.single_axis import COMPOUND, at_equal_cost

BASELINE = "baseline"


@dataclass(frozen=True)
class Trial:
    """One network to be trained once.

    Attributes:
      dataset: of `dataset_name`.
      axis: `baseline`, `depth`, `width`, `resolution` or `compound`.
      seed: of initial weights, data order, augmentation and dropout.
      network: with its scaling.
      config: the run.
    """

    dataset: str
    axis: str
    seed: int
    network: ModelConfig
    config: RunConfig

    @property
    def settings(self) -> str:
        """Eight hexadecimal digits that are others when another run would be trained.

        Seed and places do not count.
        """
        data = dataclasses.replace(self.config.data, seed=0, data_dir=None)
        train = dataclasses.replace(self.config.train, seed=0, model_dir=None)
        said = (self.network, data, train, self.config.optimizer)
        return hashlib.sha256(repr(said).encode()).hexdigest()[:8]


@dataclass(frozen=True)
class Result:
    """How a trial ended.

    Attributes:
      dataset, axis, seed, settings: of the trial.
      depth_coefficient, width_coefficient, input_size, parameters, multiply_adds: of its network.
      top_1: accuracy of the last evaluation, 0..1.
    """

    dataset: str
    axis: str
    seed: int
    settings: str
    depth_coefficient: float
    width_coefficient: float
    input_size: int
    parameters: int
    multiply_adds: int
    top_1: float


@dataclass(frozen=True)
class Comparison:
    """One way of scaling over all its seeds.

    Attributes:
      dataset, axis: which.
      multiply_adds: for one image.
      runs: how many.
      mean, deviation: of top-1, 0..1; the deviation is the sample's (divided by runs - 1).
      p_value: chance of so large a lead of compound scaling over this one, or a larger, if how a
        run is scaled made no difference: an exact permutation test of the means, one-sided, by
        Holm's method for the comparisons of a data set. None for compound itself and the baseline,
        and where there are not two runs of each.
    """

    dataset: str
    axis: str
    multiply_adds: int
    runs: int
    mean: float
    deviation: float
    p_value: float | None


def trials(
    config: RunConfig, network: ModelConfig, phi: float, seeds: int, folder: str
) -> list[Trial]:
    """Every network with the first seed, then every one with the second, ...

    Args:
      config: of the training; its `train.seed` is the first seed.
      network: the baseline.
      phi: compound coefficient of the scaled networks.
      folder: the runs' folders are made in it.

    Raises:
      UserError: the length of the training was not said.
    """
    networks = {BASELINE: network, **at_equal_cost(network, phi)}
    first = config.train.seed
    return [
        _trial(config, axis, scaled, seed, folder)
        for seed in range(first, first + seeds)
        for axis, scaled in networks.items()
    ]


def _trial(config, axis, network, seed, folder) -> Trial:
    dataset = dataset_name(config.data)
    scaling = {
        "depth_coefficient": network.depth_coefficient,
        "width_coefficient": network.width_coefficient,
    }
    run = dataclasses.replace(
        config,
        mode="train_and_eval",
        overrides={**config.overrides, **scaling},
        data=dataclasses.replace(config.data, image_size=network.input_size, seed=seed),
        train=dataclasses.replace(
            config.train,
            seed=seed,
            model_dir=f"{folder}/runs/{dataset}-{axis}-{seed}",
            **_one_evaluation(config.train),
        ),
        flags_text="",
    )
    return Trial(dataset, axis, seed, network, run)


def dataset_name(data: DataConfig) -> str:
    """What results are kept under: the name of the data's folder if there is one, else `digits`."""
    return (data.data_dir or "").rstrip("/").rpartition("/")[2] or data.source_name


def _one_evaluation(train: TrainConfig) -> dict[str, float | int]:
    """At the end: the best of several would flatter whoever varies most."""
    if train.train_epochs:
        return {"eval_every_epochs": train.train_epochs}
    if train.train_steps == TrainConfig.train_steps:
        raise UserError("--study=experiment needs --train_epochs, or --flagfile=study-experiment")
    return {"steps_per_eval": train.train_steps}


def missing(all_trials: Sequence[Trial], results: Iterable[Result]) -> list[Trial]:
    """The trials that have no result yet.

    Raises:
      UserError: a result is of other settings.
    """
    done = {(result.dataset, result.axis, result.seed): result.settings for result in results}
    for trial in all_trials:
        settings = done.get((trial.dataset, trial.axis, trial.seed), trial.settings)
        if settings != trial.settings:
            raise UserError(
                f"{trial.dataset} was trained with other settings there: give the old ones, or "
                "another --model_dir"
            )
    return [t for t in all_trials if (t.dataset, t.axis, t.seed) not in done]


def results_of(to_do: Iterable[Trial], train: Callable[[RunConfig], float]) -> Iterator[Result]:
    """Trains one after the other.

    Args:
      to_do: what to train.
      train: from a run to the top-1 accuracy at its end, 0..1.
    """
    for trial in to_do:
        cost = total(trial.network)
        yield Result(
            trial.dataset,
            trial.axis,
            trial.seed,
            trial.settings,
            round(trial.network.depth_coefficient, 4),
            round(trial.network.width_coefficient, 4),
            trial.network.input_size,
            cost.trainable,
            cost.multiply_adds,
            train(trial.config),
        )


def compare(results: Sequence[Result]) -> list[Comparison]:
    """One line for each data set and way of scaling, in the order in which they came."""
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        groups.setdefault((result.dataset, result.axis), []).append(result)
    p_values = {}
    for dataset in dict.fromkeys(result.dataset for result in results):
        p_values |= _p_values(
            {axis: [r.top_1 for r in g] for (d, axis), g in groups.items() if d == dataset},
            dataset,
        )
    return [_comparison(key, group, p_values.get(key)) for key, group in groups.items()]


def _comparison(key, group, p_value) -> Comparison:
    scores = [result.top_1 for result in group]
    deviation = statistics.stdev(scores) if len(scores) > 1 else 0.0
    mean = statistics.fmean(scores)
    return Comparison(*key, group[0].multiply_adds, len(group), mean, deviation, p_value)


def _p_values(scores: dict[str, list[float]], dataset: str) -> dict[tuple[str, str], float]:
    rivals = [axis for axis in scores if axis not in (BASELINE, COMPOUND)]
    if min(len(scores.get(axis, ())) for axis in (COMPOUND, *rivals)) < 2:
        return {}  # of single runs a test can tell nothing
    found = {axis: chance_of_lead(scores[COMPOUND], scores[axis]) for axis in rivals}
    return {(dataset, axis): p for axis, p in _holm(found).items()}


def chance_of_lead(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The p-value of a permutation test: are `ours` larger in the mean than `theirs`?

    Exact up to two hundred thousand divisions of all scores into two groups of these sizes, ten
    against ten; above, of a sample of as many.
    """
    import numpy as np
    from scipy.stats import permutation_test

    def lead(a, b, axis):
        return np.mean(a, axis=axis) - np.mean(b, axis=axis)

    return float(
        permutation_test(
            (ours, theirs),
            lead,
            alternative="greater",
            n_resamples=200_000,
            vectorized=True,
            rng=0,
        ).pvalue
    )


def _holm(p_values: dict[str, float]) -> dict[str, float]:
    """Holm 1979: the k-th smallest of n, from 0, is multiplied by n - k; the order stays."""
    adjusted, largest = {}, 0.0
    for k, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        largest = max(largest, min(1.0, (len(p_values) - k) * p))
        adjusted[name] = largest
    return adjusted
