"""The table of every network, in Markdown: docs/networks.md."""

from collections.abc import Sequence

from efficientnet_tf.arch.cost import total
from efficientnet_tf.arch.variants import VARIANTS
from efficientnet_tf.study.latency import Measurement, key
from efficientnet_tf.weights.published.table import published_sets, resolve

_HEADER = (
    "network", "input", "parameters", "multiply-adds", "top-1, %", "weight sets", "ms"
)  # fmt: skip
_ALIGNMENT = ("---", "---:", "---:", "---:", "---:", "---", "---:")


def networks_table(measurements: Sequence[Measurement]) -> str:
    """A page with a row for each variant, at its own input size.

    Args:
      measurements: of variants; what was not measured stays empty.
    """
    times = {row.key: row.milliseconds for row in measurements}
    device = "; ".join(dict.fromkeys(row.device for row in measurements if row.device))
    lines = [
        _HEADER,
        _ALIGNMENT,
        *(_row(name, times.get(key(VARIANTS[name]))) for name in VARIANTS),
    ]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    return f"""# Networks

`python main.py --mode=study --study=latency` writes this page.

Input is the side of the square image in pixels. FLOPs are twice the multiply-adds, which the paper
and much of the literature call FLOPs. Top-1 is the published accuracy on ImageNet with the weights
that `imagenet` means, the first set; {_elsewhere()}
Milliseconds are those of one image in `en.inference_function` ({device}); what was
not measured, or did not fit into the memory, is empty.

{table}
"""


def _elsewhere() -> str:
    """The sets whose accuracies were reached at another size than the network's own."""
    found = [
        f"{name} at {preset.input_size}"
        for name in VARIANTS
        if published_sets(name)
        for preset in [resolve(name, "imagenet")]
        if preset.input_size != VARIANTS[name].input_size
    ]
    return f"{' and '.join(found)} pixels."


def _row(name: str, milliseconds: float | None) -> tuple[str, ...]:
    cost = total(VARIANTS[name])
    accuracies = {weights: resolve(name, weights).top_1 for weights in published_sets(name)}
    first = next(iter(accuracies.values()), None)
    return (
        name,
        str(VARIANTS[name].input_size),
        f"{cost.trainable:,}",
        f"{cost.multiply_adds:,}",
        _number(first),
        ", ".join(_set(weights, top_1) for weights, top_1 in accuracies.items()),
        _number(milliseconds),
    )


def _set(weights: str, top_1: float | None) -> str:
    return weights if top_1 is None else f"{weights} {top_1:g}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.4g}" if value < 1000 else f"{value:,.0f}"
