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
from efficientnet_tf.exports.measurement import BATCH, threads
from efficientnet_tf.exports.network import ExportedNetwork, exported_network
from efficientnet_tf.exports.proof import Pictures, Proof
from efficientnet_tf.exports.report import ExportFailed, ExportReport, FormatReport, accuracy
from efficientnet_tf.exports.report_picture import draw_report
from efficientnet_tf.exports.writers import Writers
from efficientnet_tf.nn.quantization import is_quantized
from efficientnet_tf.train.progress import Progress

_NOISE = 16  # images to compare on where no pictures are given
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
    is_calibrated = needs_calibration(model, rows)
    shown = _images(pictures, network, "pictures")
    ranged = _images(calibration, network, "calibration")
    if not is_calibrated:
        ranged = None
    elif ranged is None:
        ranged = shown
        if ranged is None:
            raise UserError(f"{', '.join(r.name for r in rows if r.is_quantized)}: pictures to "
                            "calibrate with are needed")  # fmt: skip
        notes.append("calibrated with the pictures that the formats are compared on")
    if shown is None:
        notes.append(f"compared on {_NOISE} images of noise, which says little of real pictures")
        shown = _noise(network.image_size)
    _check_layers(rows, int16_layers, float_layers)
    _check_labels(labels, len(shown), network)
    target = Path(directory)
    target.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as scratch,
        tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as beside,
    ):
        draft = Path(beside, "export")
        draft.mkdir()
        proof = Proof(network, Pictures(shown, labels, _expected(network, shown, verbose)), scratch)
        measured = shown if ranged is None else ranged
        writers = Writers(network, draft, scratch, measured, int16_layers, float_layers, verbose)
        entries = tuple(_entry(row, writers, proof, min_agreement, verbose) for row in rows)
        report = ExportReport(
            network.model.name,
            network.image_size,
            len(network.label_names),
            len(shown),
            0 if ranged is None else len(ranged),
            threads(),
            *(accuracy(proof.pictures.expected, labels, k) for k in (1, 5)),
            entries,
            (*notes, *_advice(network, entries)),
        )
        _finish(network, report, draft, target)
    if any(entry.problem for entry in entries):
        raise ExportFailed(report, str(directory))
    return report


def needs_calibration(model: keras.Model, rows: Sequence[Format]) -> bool:
    """Whether a format takes the ranges of whole numbers from pictures."""
    return any(row.is_quantized for row in rows) and not is_quantized(model)


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


def _images(images: np.ndarray | None, network: ExportedNetwork, what: str) -> np.ndarray | None:
    if images is None:
        return None
    images = np.asarray(images, np.float32)
    size = network.image_size
    if images.shape[1:] != (size, size, 3):
        raise UserError(f"{what} of shape {images.shape}: {network.model.name} takes images "
                        f"[N, {size}, {size}, 3]")  # fmt: skip
    if not len(images):
        raise UserError(f"{what}: there are none")
    if not np.isfinite(images).all() or images.max() <= 1:
        raise UserError(f"{what} must be RGB in 0..255; these are {images.min()}..{images.max()}")
    return images


def _noise(size: int) -> np.ndarray:
    random = np.random.default_rng(0)
    coarse = random.uniform(0, 255, (_NOISE, 8, 8, 3)).astype(np.float32)
    return tf.image.resize(coarse, (size, size), "bicubic").numpy().clip(0, 255)


def _check_layers(rows, int16_layers, float_layers) -> None:
    is_mixed = any(row.name == "litert_mixed" for row in rows)
    if is_mixed != bool(int16_layers or float_layers):
        raise UserError("litert_mixed goes with --int16_layers or --float_layers, patterns of the "
                        "layers that are not int8")  # fmt: skip


def _check_labels(labels: Sequence[int] | None, count: int, network: ExportedNetwork) -> None:
    if labels is None:
        return
    classes = len(network.label_names)
    if len(labels) != count:
        raise UserError(f"{len(labels)} labels for {count} pictures")
    if wrong := [label for label in labels if not 0 <= label < classes]:
        raise UserError(f"label {wrong[0]} is none of the {classes} classes, 0 to {classes - 1}")


def _expected(network: ExportedNetwork, images: np.ndarray, verbose: bool) -> np.ndarray:
    """The probabilities of the Keras model, float32 [N, C]."""
    infer = tf.function(lambda x: network.original(x, training=False), autograph=False)
    progress = Progress("keras", len(images), unit="image", enabled=verbose)
    parts = []
    for start in range(0, len(images), BATCH):
        parts.append(infer(images[start : start + BATCH]).numpy())
        progress.update(min(start + BATCH, len(images)))
    progress.close()
    expected = np.concatenate(parts)
    if not np.isfinite(expected).all():
        raise UserError(f"{network.model.name}: its own probabilities are no numbers; see its "
                        "weights")  # fmt: skip
    return expected


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
