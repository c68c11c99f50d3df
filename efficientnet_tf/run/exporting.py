"""The export of a run, by `--mode=export` or at the end of training."""

from collections.abc import Sequence

import keras

from efficientnet_tf.config import ModelConfig, RunConfig, UserError
from efficientnet_tf.data import Source
from efficientnet_tf.exports.exporting import export
from efficientnet_tf.exports.formats import (
    check_learned_ranges,
    check_target,
    installed_formats,
)
from efficientnet_tf.exports.report import ExportFailed, ExportReport
from efficientnet_tf.exports.samples import needs_calibration
from efficientnet_tf.nn.network import build_network
from efficientnet_tf.run.export_pictures import (
    MOST_COMPARED,
    calibration_pictures,
    compared_pictures,
)


def check_export(config: RunConfig) -> None:
    """Raises a `UserError` for what is known to go wrong, before anything takes time."""
    formats = installed_formats(_names(config.export.export_formats))
    if config.overrides.get("quantize_aware"):
        check_learned_ranges(row.name for row in formats)
    check_target(str(config.export_dir))


def network_to_export(network: ModelConfig, loss: str | None) -> keras.Model:
    """A new network in float32 from images [N, S, S, 3] in 0..255 to probabilities."""
    activation = "softmax" if loss in (None, "softmax") else "sigmoid"
    size = network.input_size
    return build_network(network, input_shape=(size, size, 3), classifier_activation=activation)


def export_network(
    model: keras.Model,
    config: RunConfig,
    source: Source | None,
    label_names: Sequence[str] | None,
    verbose: bool = True,
) -> ExportReport:
    """Writes `config.export_dir` and prints the report.

    Args:
      model: what `network_to_export` built, with its weights.
      config: of the run, with everything decided.
      source: the data; None for none.
      label_names: one per class of the data, or None.
      verbose: print progress and the report.
    """
    formats = installed_formats(_names(config.export.export_formats))
    is_calibrated = needs_calibration(model, formats)
    pictures, labels = compared_pictures(source, config) if source else (None, None)
    calibration = None
    if is_calibrated or (pictures is None and config.export.calibration_data):
        calibration = calibration_pictures(config, source)
    if is_calibrated and pictures is None and calibration is None:
        raise UserError(
            f"--export_formats={config.export.export_formats}: whole numbers are calibrated with "
            "pictures; give --calibration_data=FOLDER, or --dataset and --data_dir"
        )
    if pictures is None:
        pictures = calibration
    elif verbose and len(pictures) == MOST_COMPARED:
        print(f"compared on {MOST_COMPARED} pictures of the evaluation split; more or fewer: "
              "--num_eval_images")  # fmt: skip
    try:
        report = export(
            model,
            str(config.export_dir),
            [row.name for row in formats],
            label_names=label_names,
            resize_method=config.data.resize_method,
            pictures=pictures,
            labels=None if labels is None else labels.tolist(),
            calibration=calibration,
            int16_layers=_names(config.export.int16_layers),
            float_layers=_names(config.export.float_layers),
            min_agreement=config.export.min_agreement,
            verbose=verbose,
        )
    except ExportFailed as error:
        if verbose:
            print(*error.report.lines(), sep="\n", flush=True)
        raise
    if verbose:
        print(*report.lines(), f"exported: {config.export_dir}", sep="\n", flush=True)
    return report


def _names(text: str | None) -> list[str]:
    return [name for name in (text or "").split(",") if name]
