"""`en.export`: a trained network in the forms that others run, each with its proof."""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from efficientnet_tf.config import UserError
from efficientnet_tf.exports.formats import (
    REPORT_FILE,
    Format,
    check_learned_ranges,
    check_target,
    installed_formats,
)
from efficientnet_tf.exports.measurement import threads
from efficientnet_tf.exports.network import ExportedNetwork, exported_network
from efficientnet_tf.exports.proof import Pictures, Proof
from efficientnet_tf.exports.report import ExportFailed, ExportReport, FormatReport, accuracy
from efficientnet_tf.exports.report_picture import draw_report
from efficientnet_tf.exports.samples import export_samples, probabilities
from efficientnet_tf.exports.writers import Writers

_MANY_LOST = 0.99  # agreement of int8 below which another network is advised


def export(
    model: keras.Model,
    directory: str | Path,
    formats: Sequence[str] = ("saved_model",),
    *,
    label_names: Sequence[str] | None = None,
    resize_method: str | None = None,
    pictures: np.ndarray | None = None,
    labels: Sequence[int] | None = None,
    calibration: np.ndarray | None = None,
    int16_layers: Sequence[str] = (),
    float_layers: Sequence[str] = (),
    min_agreement: float | None = None,
    verbose: bool = False,
) -> ExportReport:
    """Writes a network in several formats, runs each of them, and says how far it is from `model`.

        run = en.fit(en.recipe("quickstart", model_dir="runs/digits"))
        print(en.export(run.model, "digits", ["saved_model", "litert"]).lines())

    Args:
      model: a classifier of one square RGB image, float32 [N, S, S, 3] in 0..255, which normalises
        it itself. Where it ends in logits a softmax is added.
      directory: a new or empty folder. It appears when the export is complete.
      formats: names of `formats.FORMATS`.
      label_names: one for each class, a background class not among them; ImageNet's names where the
        number of classes is ImageNet's, else numbers.
      resize_method: `bicubic` or `bilinear`, for the SavedModel's pictures; the variant's own.
      pictures: float32 or uint8 [N, S, S, 3] in 0..255 to compare the formats on; noise if None.
      labels: the true class of each, [N], for top-1 and top-5.
      calibration: the same as `pictures` for formats of whole numbers; `pictures` if None.
      int16_layers, float_layers: of `litert_mixed`: regular expressions; layers whose name has
        one in it have int16 activations, or stay in floating point. The others are int8.
      min_agreement: the share of `pictures`, 0..1, that must get the class that `model` gives them;
        0.99 in floating point and 0.95 in whole numbers if None. A format that agrees on fewer is
        not kept.
      verbose: print progress.

    Returns:
      The report, which is in the folder too, as JSON and as a picture.

    Raises:
      ExportFailed: some format cannot be written, does not run, or agrees on too few; the others
        are in the folder, with the report.
      UserError: a bad argument, before anything is written.
    """
    rows = installed_formats(formats)
    check_target(str(directory))
    network = exported_network(model, label_names, resize_method)
    notes: list[str] = []
    if network.has_learned_ranges:
        check_learned_ranges(row.name for row in rows)
        notes.append("int8 has the ranges that were learned in training: no picture calibrates it")
    samples = export_samples(network, rows, pictures, labels, calibration)
    _check_layers(rows, int16_layers, float_layers)
    target = Path(directory)
    target.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as scratch,
        tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as beside,
    ):
        draft = Path(beside, "export")
        draft.mkdir()
        expected = probabilities(network, samples.shown, verbose)
        proof = Proof(network, Pictures(samples.shown, labels, expected), scratch)
        ranged = samples.shown if samples.calibration is None else samples.calibration
        writers = Writers(network, draft, scratch, ranged, int16_layers, float_layers, verbose)
        entries = tuple(_entry(row, writers, proof, min_agreement, verbose) for row in rows)
        report = ExportReport(
            network.model.name,
            network.image_size,
            len(network.label_names),
            len(samples.shown),
            0 if samples.calibration is None else len(samples.calibration),
            threads(),
            *(accuracy(expected, labels, k) for k in (1, 5)),
            entries,
            (*notes, *samples.notes, *_advice(network, entries)),
        )
        _finish(network, report, draft, target)
    if any(entry.problem for entry in entries):
        raise ExportFailed(report, str(directory))
    return report


def _entry(
    row: Format, writers: Writers, proof: Proof, min_agreement: float | None, verbose: bool
) -> FormatReport:
    """Writes a format, runs it, and takes it away again if it is not what it should be."""
    if verbose:
        print(f"{row.name}: converting", flush=True)
    path = writers.folder / row.file
    try:
        operators, layers = writers.write(row)
        entry = proof.of(row, path, operators, layers, verbose)
        wanted = row.min_agreement if min_agreement is None else min_agreement
        if entry.compared and entry.compared.agreement < wanted:
            problem = (f"agrees with the Keras model on {entry.compared.agreement:.1%} of the "
                       f"pictures, fewer than --min_agreement={wanted:g}")  # fmt: skip
            return _without(path, entry, problem)
        return entry
    except Exception as error:  # converters and runtimes of other makers raise anything
        reason = str(error).strip().splitlines() or [type(error).__name__]
        return _without(path, FormatReport(row.name), reason[0][:300])


def _without(path: Path, entry: FormatReport, problem: str) -> FormatReport:
    whole = path.parent if path.parent.name == "openvino" else path
    if whole.is_dir():
        shutil.rmtree(whole)
    whole.unlink(missing_ok=True)
    fields = {**vars(entry), "file": None, "problem": problem}
    return FormatReport(**fields)


def _finish(network: ExportedNetwork, report: ExportReport, draft: Path, target: Path) -> None:
    """Adds the labels and the report, and gives the folder its name."""
    text = "".join(f"{name}\n" for name in network.label_names)
    (draft / "labels.txt").write_text(text, encoding="utf-8")
    (draft / REPORT_FILE).write_text(report.to_json(), encoding="utf-8")
    picture = tf.io.encode_png(draw_report(report)).numpy()
    (draft / "export_report.png").write_bytes(picture)
    if target.exists():
        target.rmdir()  # it is empty
    draft.rename(target)


def _check_layers(rows, int16_layers, float_layers) -> None:
    is_mixed = any(row.name == "litert_mixed" for row in rows)
    if is_mixed != bool(int16_layers or float_layers):
        raise UserError("litert_mixed goes with --int16_layers or --float_layers, patterns of the "
                        "layers that are not int8")  # fmt: skip


def _advice(network: ExportedNetwork, entries: Sequence[FormatReport]) -> list[str]:
    """What to do where int8 loses."""
    for entry in entries:
        lost = entry.compared and entry.compared.agreement < _MANY_LOST
        if entry.format == "litert_int8" and lost and network.suggestion:
            return [
                f"int8 loses with swish and squeeze-excite: {network.suggestion} is made for it; "
                "litert_int16x8 keeps more"
            ]
    return []
