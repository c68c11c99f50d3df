"""Evaluations of a run, and everywhere that their results are written."""

import contextlib
import dataclasses
from collections.abc import Iterator

from efficientnet_tf.nn.folding import transfer_folded
from efficientnet_tf.run.findings import Findings
from efficientnet_tf.run.insight import Insight
from efficientnet_tf.run.report import EvaluationReport
from efficientnet_tf.run.results import (
    FileGone,
    append_result,
    archive_if_best,
    evaluations_since_best,
    results_by_step,
)
from efficientnet_tf.run.session import Session, explained
from efficientnet_tf.run.training import Training
from efficientnet_tf.train.agreement import chief_value
from efficientnet_tf.train.ema import ExponentialMovingAverage
from efficientnet_tf.train.evaluator import Evaluation
from efficientnet_tf.train.multi_label import MultiLabelEvaluation
from efficientnet_tf.weights.formats.run_checkpoint import (
    checkpoint_step,
    list_checkpoints,
)
from efficientnet_tf.weights.loading import load_opened
from efficientnet_tf.weights.opened import OpenedWeights

_MANY = 500  # images for which a copy of the network without batch norm pays off


def train_and_evaluate(training: Training) -> Iterator[dict]:
    """Trains to the end and yields the result of each evaluation on the way.

    An evaluation that is missing where the run stands, because it was stopped before, comes first.
    """
    session = training.session
    # What nobody would see is not collected.
    insight = None if session.config.train.skip_host_call else Insight(session)
    evaluator = session.evaluator(insight.observers if insight else ())

    def evaluate_now(step):
        with averaged(training.ema), explained(session.source):
            evaluation = evaluator.evaluate()
        findings = insight and insight.findings()
        training.saver.wait()  # the best checkpoint is copied from its files
        kind = "ema" if training.ema else "raw"
        return _record(session, step, kind, evaluation, findings, is_own=True)

    if _is_evaluation_missing(training):
        yield evaluate_now(training.start)
    if _stops_early(session):
        return
    for step in training.segments():
        yield evaluate_now(step)
        if _stops_early(session):
            return


def _stops_early(session: Session) -> bool:
    """Whether `early_stopping_evals` are over without a new best; all workers follow the chief."""
    patience = session.config.train.early_stopping_evals
    if not patience:
        return False
    waited = evaluations_since_best(session.folder) if session.is_chief else 0
    waited = chief_value(session.strategy, waited)
    if waited >= patience:
        session.say(f"no new best in {waited} evaluations: --early_stopping_evals={patience}")
    return waited >= patience


def averaged(ema: ExponentialMovingAverage | None):
    """A context in which the model has its averaged weights, if the run keeps an average."""
    return ema.applied() if ema else contextlib.nullcontext()


def evaluate(session: Session, report: EvaluationReport | None = None) -> Iterator[dict]:
    """Evaluates `session.start`, and a run's later checkpoints within `eval_timeout` of each other.

    The last one evaluated is that of `train_steps`, if it comes. It is the one that stays in the
    report.
    """
    weights = session.start.weights
    insight = Insight(session, weights.label_names)
    folded = session.folded_model() if _is_folding_faster(session) else None
    evaluator = session.evaluator(insight.observers, folded)
    while weights:
        load_opened(session.model, weights)
        if folded:
            transfer_folded(session.model, folded)
        with explained(session.source):
            evaluation = evaluator.evaluate()
        findings, is_own = insight.findings(), session.start.is_own
        result = _record(session, weights.step, weights.kind, evaluation, findings, is_own)
        if lines := findings.worst_classes():
            session.say(*lines)
        if report and session.is_chief:
            report.write({**result, **_what(session, weights)}, findings)
            session.say(f"report: {report.folder}")
        yield result
        weights = _next_weights(session, weights) if is_own else None


def _is_folding_faster(session: Session) -> bool:
    """Whether there are images enough to make up for another network.

    In 16 bits a folded kernel is rounded once more, so that results would depend on it. A network
    with the rounding of int8 has no batch norm.
    """
    if session.network.quantize_aware:
        return False
    images = session.source.num_eval_images
    return session.model.compute_dtype == "float32" and (images is None or images >= _MANY)


def _what(session: Session, weights: OpenedWeights) -> dict:
    """Which weights are evaluated on which data."""
    config = session.config
    return {
        "evaluated": weights.where,
        "model_name": session.network.name,
        "image_size": config.data.image_size,
        "num_classes": session.network.num_classes,
        "dataset": config.data.source_name,
        "data_dir": config.data.data_dir,
    }


def _next_weights(session: Session, done: OpenedWeights) -> OpenedWeights | None:
    train = session.config.train
    if done.step >= train.train_steps:
        return None
    return session.start.watch.next(done.step, train.eval_timeout or 0)


def _is_evaluation_missing(training: Training) -> bool:
    """Whether the run was saved for an evaluation that never came; all workers follow the chief."""
    session, start = training.session, training.start
    train = session.config.train
    due = start and (start % train.steps_per_eval == 0 or start >= train.train_steps)
    missing = bool(due) and start not in results_by_step(session.folder)
    return bool(chief_value(session.strategy, int(missing)))


def _record(
    session: Session,
    step: int,
    kind: str,
    evaluation: Evaluation | MultiLabelEvaluation,
    findings: Findings | None,
    is_own: bool,
) -> dict:
    """Keeps and prints an evaluation; returns it as the JSON object of `eval.jsonl`."""
    result = {"step": step, **dataclasses.asdict(evaluation), "weights": kind}
    del result["images_per_second"]
    is_best = False
    if session.is_chief and session.folder:
        append_result(session.folder, result)
        _summarise(session, step, evaluation, findings)
        is_best = is_own and _archive(session, step, result)
    session.say(f"step {step}: {evaluation} ({kind} weights){', best so far' * is_best}")
    return result


def _summarise(
    session: Session,
    step: int,
    evaluation: Evaluation | MultiLabelEvaluation,
    findings: Findings | None,
) -> None:
    part = "-".join(filter(None, ("eval", session.config.train.eval_name)))
    session.summaries.scalars(part, step, evaluation.curves())
    pictures = findings.pictures() if findings and session.summaries.enabled else {}
    for name, picture in pictures.items():
        session.summaries.image(f"evaluation/{name}", picture, step, part)
    session.summaries.flush()


def _archive(session: Session, step: int, result: dict) -> bool:
    """Archives the run's checkpoint of `step` if it is the best on the usual evaluation split."""
    train = session.config.train
    prefixes = {checkpoint_step(p): p for p in list_checkpoints(session.folder.path)}
    if not train.archive_ckpt or train.eval_name or step not in prefixes:
        return False
    try:
        return archive_if_best(session.folder, prefixes[step], result)
    except FileGone:  # by a training that goes on beside this evaluation
        session.say(f"{prefixes[step]} was deleted before it could be archived as the best")
        return False
