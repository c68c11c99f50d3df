"""The charts of the studies, each the content of a PNG file; what they show is handed to them."""

from collections.abc import Sequence

from efficientnet_tf.arch.scaling import ALPHA, BETA, GAMMA
from efficientnet_tf.study.drawing import (
    AXIS_STYLES,
    BLACK,
    BLUE,
    GREEN,
    GREY,
    RED,
    label_points,
    png,
    style,
    subplots,
)
from efficientnet_tf.study.experiment import Comparison, Result
from efficientnet_tf.study.grid import TARGET, GridPoint
from efficientnet_tf.study.latency import Measurement, pareto_front
from efficientnet_tf.study.published import SCALED_NETWORKS, Published, is_of_paper
from efficientnet_tf.study.single_axis import AXES, COMPOUND, Scaled

_FAMILY_STYLES = {
    "EfficientNet": (BLUE, "o"),
    "EfficientNetV2": (RED, "s"),
    "EfficientNet-Lite": (GREEN, "^"),
}
_MULTIPLY_ADDS = "multiply-adds of one image, billions"


@style()
def grid(points: Sequence[GridPoint], name: str) -> bytes:
    """Parameters over multiply-adds of every point, coloured by the resolution's base."""
    figure, axes = subplots()
    dots = axes.scatter(
        [point.multiply_adds / 1e9 for point in points],
        [point.parameters / 1e6 for point in points],
        c=[point.gamma for point in points],
        cmap="cividis",
        s=28,
    )
    figure.colorbar(dots, ax=axes, label="gamma, base of the resolution")
    for point in points:
        if (point.alpha, point.beta, point.gamma) == (ALPHA, BETA, GAMMA):
            place = (point.multiply_adds / 1e9, point.parameters / 1e6)
            axes.plot(*place, "o", ms=12, mfc="none", mec=RED, mew=1.5)
            axes.annotate(
                f"the paper's {ALPHA}, {BETA}, {GAMMA}",
                place,
                xytext=(10, 10),
                textcoords="offset points",
                color=RED,
                backgroundcolor="#FFFFFFC0",
            )
    axes.set_xlabel(_MULTIPLY_ADDS)
    axes.set_ylabel("parameters, millions")
    axes.set_title(f"{name}: alpha · beta² · gamma² ≈ {TARGET:g}, {len(points)} points", loc="left")
    return png(figure)


@style()
def single_axis(rows: Sequence[Scaled], name: str) -> bytes:
    """What networks of equal multiply-adds hold, by axis, and the paper's accuracies of such."""
    figure, (left, middle, right) = subplots(3)
    for axis in (*AXES, COMPOUND):
        color, marker = AXIS_STYLES[axis]
        mine = [row for row in rows if row.axis == axis]
        x = [row.multiply_adds / 1e9 for row in mine]
        for axes, values in (
            (left, [row.parameters / 1e6 for row in mine]),
            (middle, [row.activations / 1e6 for row in mine]),
        ):
            axes.plot(x, values, marker=marker, color=color, label=axis)
    left.set_ylabel("parameters, millions")
    middle.set_ylabel("activations of one image, millions")
    for axes in (left, middle):
        axes.set_xlabel(_MULTIPLY_ADDS)
    left.set_title(name, loc="left")
    left.legend()
    _published_axes(right)
    return png(figure)


def _published_axes(axes) -> None:
    shown = [row for row in SCALED_NETWORKS if row.network == "EfficientNet-B0"]
    for row in shown:
        color, marker = AXIS_STYLES[row.axis]
        axes.plot(row.multiply_adds, row.top_1, marker, color=color, ms=7)
    axes.margins(x=0.3, y=0.1)
    axes.figure.draw_without_rendering()
    label_points(axes, [(row.multiply_adds, row.top_1, row.axis, BLACK) for row in shown])
    axes.set_xlabel(_MULTIPLY_ADDS)
    axes.set_ylabel("ImageNet top-1, %")
    axes.set_title(f"published: {shown[0].source}", loc="left", fontsize=8)


@style()
def family(rows: Sequence[Published]) -> bytes:
    """The paper's figures 1 and 5: accuracy over parameters and over multiply-adds."""
    figure, axes = subplots(2, height=4.4, sharey=True)
    rows = [row for row in rows if is_of_paper(row)]
    for chart, size in zip(axes, ("parameters", "multiply_adds"), strict=True):
        known = [row for row in rows if getattr(row, size) is not None]
        labels = []
        chart.set_xscale("log")
        for name, (color, marker) in _FAMILY_STYLES.items():
            mine = [row for row in known if row.family == name]
            points = _points(mine, size)
            chart.plot(*zip(*points, strict=True), marker=marker, color=color, label=name, ms=5)
            ends = (0, -1)
            labels += [(*points[end], _short(mine[end].name), color) for end in ends]
        others = [row for row in known if row.sizes == "published"]
        points = _points(others, size)
        chart.plot(*zip(*points, strict=True), "x", color=GREY, label="others", ms=5)
        names = (row.name for row in others)
        labels += [(*point, name, GREY) for point, name in zip(points, names, strict=True)]
        chart.margins(x=0.12)
        figure.draw_without_rendering()
        label_points(chart, labels)
    axes[0].set_xlabel("parameters, millions")
    axes[1].set_xlabel(_MULTIPLY_ADDS)
    axes[0].set_ylabel("ImageNet top-1, %")
    for chart in axes:
        chart.xaxis.set_major_formatter("{x:g}")
    axes[0].legend(loc="lower right")
    return png(figure)


def _short(name: str) -> str:
    return name.removeprefix("efficientnet").removeprefix("-")


def _points(rows, size) -> list[tuple[float, float]]:
    unit = {"parameters": 1e6, "multiply_adds": 1e9}[size]
    return [(getattr(row, size) / unit, row.top_1) for row in rows]


@style()
def latency(rows: Sequence[Measurement]) -> bytes:
    """Accuracy over the time and the memory of one image, the Pareto front a line.

    Args:
      rows: with a published accuracy, at least one.
    """
    figure, axes = subplots(2, height=4.4, sharey=True)
    for chart, field, unit in zip(
        axes, ("milliseconds", "memory_mib"), ("latency of one image, ms", "memory, MiB"),
        strict=True,
    ):  # fmt: skip
        known = [row for row in rows if getattr(row, field) is not None]
        if not known:  # memory, where the system does not tell
            chart.set_axis_off()
            continue
        chart.set_xscale("log")
        points = [(getattr(row, field), row.top_1) for row in known]
        chart.plot(*zip(*points, strict=True), "o", color=GREY, ms=4)
        front = [(getattr(row, field), row.top_1, row.model) for row in pareto_front(known, field)]
        x, y, _ = zip(*front, strict=True)
        chart.plot(x, y, "-o", color=BLUE, ms=5, label="Pareto front")
        chart.margins(x=0.15)
        figure.draw_without_rendering()
        label_points(chart, [(x, y, _short(name), BLUE) for x, y, name in front])
        chart.set_xlabel(unit)
        chart.xaxis.set_major_formatter("{x:g}")
        chart.xaxis.set_minor_formatter("")
    axes[0].set_ylabel("published ImageNet top-1, %")
    axes[0].legend(loc="lower right")
    axes[0].set_title(rows[0].device, loc="left")
    return png(figure)


@style()
def experiment(results: Sequence[Result], comparisons: Sequence[Comparison]) -> bytes:
    """Every run as a point, with mean and deviation of each way to scale."""
    datasets = list(dict.fromkeys(row.dataset for row in comparisons))
    figure, axes = subplots(len(datasets), squeeze=False)
    for chart, dataset in zip(axes[0], datasets, strict=True):
        mine = [row for row in comparisons if row.dataset == dataset]
        for place, row in enumerate(mine):
            color, marker = AXIS_STYLES[row.axis]
            runs = [r.top_1 * 100 for r in results if (r.dataset, r.axis) == (dataset, row.axis)]
            chart.plot([place - 0.15] * len(runs), runs, marker, color=color, ms=4, alpha=0.6)
            chart.errorbar(
                place + 0.1, row.mean * 100, row.deviation * 100, fmt=marker, color=color, capsize=4
            )
        chart.set_xticks(range(len(mine)), [_tick(row) for row in mine])
        chart.set_title(f"{dataset}, {mine[0].runs} seeds", loc="left")
        chart.grid(axis="x", visible=False)
    axes[0][0].set_ylabel("top-1, %")
    return png(figure)


def _tick(row: Comparison) -> str:
    cost = f"{row.axis}\n{row.multiply_adds / 1e6:.1f} M"
    return cost if row.p_value is None else f"{cost}\np = {row.p_value:.2g}"
