"""`--mode=study`: the studies of scaling, their tables and charts in the folder of the study."""

from collections.abc import Sequence
from typing import Any

from efficientnet_tf.arch.summary import text_table
from efficientnet_tf.arch.variants import VARIANTS
from efficientnet_tf.config import ModelConfig, RunConfig, UserError
from efficientnet_tf.run import study_maps
from efficientnet_tf.run.flag_topics.task import STUDIES
from efficientnet_tf.run.resolve import resolve
from efficientnet_tf.run.study_folder import StudyFolder
from efficientnet_tf.run.study_trials import train_trials
from efficientnet_tf.study import (
    activation_maps,
    charts,
    drawing,
    experiment,
    grid,
    latency,
    single_axis,
)
from efficientnet_tf.study.networks import networks_table
from efficientnet_tf.study.published import published_networks
from efficientnet_tf.train.progress import Progress

_FOLDER = "runs/study"
_PHIS = (1.0, 2.0, 3.0, 4.0)


def study(config: RunConfig) -> None:
    """Does the study that is named; long ones go on where they were stopped.

    Raises:
      UserError: no study, no matplotlib, or what the study itself says.
    """
    if config.study is None:
        raise UserError(f"--mode=study needs --study: {', '.join(STUDIES)}")
    if config.arguments and config.study != "activation_maps":
        raise UserError(f"{config.arguments[0]!r} is no flag; --study={config.study} takes none")
    drawing.check()
    _STUDIES[config.study](config, StudyFolder(config.train.model_dir or _FOLDER))


def _grid(config: RunConfig, folder: StudyFolder) -> None:
    network = resolve(config)[0]
    phi = 1.0 if config.study_phi is None else config.study_phi
    points = grid.search(network, phi)
    _write(folder, "grid", points, charts.grid(points, _title(network)))


def _single_axis(config: RunConfig, folder: StudyFolder) -> None:
    network = resolve(config)[0]
    phis = _PHIS if config.study_phi is None else (config.study_phi,)
    rows = single_axis.compare(network, (0.0, *phis))
    _write(folder, "single_axis", rows, charts.single_axis(rows, _title(network)))


def _family(config: RunConfig, folder: StudyFolder) -> None:
    rows = published_networks()
    _write(folder, "family", rows, charts.family(rows))


def _latency(config: RunConfig, folder: StudyFolder) -> None:
    """All variants, or the one network that flags describe."""
    is_one = config.model_name or config.overrides or config.data.image_size
    networks = [resolve(config)[0]] if is_one else list(VARIANTS.values())
    rows = folder.table("latency", latency.Measurement)
    rows = [row for row in rows if not row.failure]  # those are tried again
    known = {row.key for row in rows}
    to_do = [network for network in networks if latency.key(network) not in known]
    done = len(networks) - len(to_do)
    progress = Progress("latency", len(networks), "network", done, images_per_unit=None)
    progress.update(done)
    for count, row in enumerate(latency.measured(to_do), start=done + 1):
        if row.failure:
            print(f"{row.model}: {row.failure}", flush=True)
        rows.append(row)
        folder.write_table("latency", rows)
        progress.update(count)
    progress.close()
    with_accuracy = [row for row in rows if row.top_1 is not None and not row.failure]
    _write(folder, "latency", rows, charts.latency(with_accuracy) if with_accuracy else None)
    if not is_one:
        folder.write_text("networks.md", networks_table(rows))
        print(f"every network: {folder.file('networks.md')}")


def _experiment(config: RunConfig, folder: StudyFolder) -> None:
    results = train_trials(config, folder)
    comparisons = experiment.compare(results)
    _write(folder, "experiment", comparisons, charts.experiment(results, comparisons))


def _activation_maps(config: RunConfig, folder: StudyFolder) -> None:
    networks, pictures = study_maps.activation_maps(config, folder)
    rows = activation_maps.rows(networks, pictures)
    _write(folder, "activation_maps", rows, activation_maps.chart(networks))


def _title(network: ModelConfig) -> str:
    is_variant = network == VARIANTS.get(network.name)
    return network.name if is_variant else f"{network.name}, as changed by flags"


def _write(folder: StudyFolder, name: str, rows: Sequence[Any], picture: bytes | None) -> None:
    """The table as CSV and on the terminal, and its chart, if there is one."""
    folder.write_table(name, rows)
    columns = list(vars(rows[0]))
    print(text_table(columns, [[_cell(getattr(row, c)) for c in columns] for row in rows]))
    print(f"\ntable: {folder.file(name)}.csv")
    if picture is None:
        return print("no chart: none of these networks has a published accuracy")
    folder.write_chart(name, picture)
    print(f"chart: {folder.file(name)}.png")


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1e5 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value or "")


_STUDIES = {
    "grid": _grid,
    "single_axis": _single_axis,
    "family": _family,
    "latency": _latency,
    "experiment": _experiment,
    "activation_maps": _activation_maps,
}
