"""The charts of docs/benchmarks.md, from the lines that `inference.py` and `train.py` wrote.

python benchmarks/chart.py benchmarks/cpu.jsonl docs
"""

import statistics
from pathlib import Path

from turns import ratios, read_results
from workers import Turn

from efficientnet_tf.arch.cost import total
from efficientnet_tf.arch.variants import model_config
from efficientnet_tf.study.drawing import BLUE, GREEN, GREY, ORANGE, png, style, subplots

OURS = "efficientnet_tf"
FASTEST = "efficientnet_tf, inference_function"
Results = dict[tuple, dict[str, list[Turn]]]


def main() -> None:
    here = Path(__file__).resolve().parent
    for draw, source in ((peers, "cpu.jsonl"), (growth, "growth.jsonl")):
        picture = here.parent / "docs" / f"benchmarks_{draw.__name__}.png"
        picture.write_bytes(draw(read_results(here / source)))


@style()
def peers(results: Results) -> bytes:
    """How many times as fast as keras.applications each candidate is, for B0."""
    shown = {key: turns for key, turns in results.items() if key[1] == "efficientnet-b0"}
    heights = [len(turns) + 2 for turns in shown.values()]
    figure, rows = subplots(
        1, 0.21 * sum(heights), rows=len(shown), height_ratios=heights, squeeze=False
    )
    for axes, (key, turns) in zip(rows[:, 0], shown.items(), strict=True):
        kind, model, size, batch = key
        base = next(iter(turns.values()))
        names = list(reversed(turns))
        middles = [statistics.median(ratios(base, turns[name])) for name in names]
        spread = [
            (middle - min(found), max(found) - middle)
            for name, middle in zip(names, middles, strict=True)
            for found in [ratios(base, turns[name])]
        ]
        axes.barh(
            names,
            middles,
            xerr=list(zip(*spread, strict=True)),
            color=[BLUE if name.startswith(OURS) else GREY for name in names],
            ecolor="#444444",
        )
        axes.axvline(1, color="black", linewidth=0.8)
        axes.grid(axis="y", visible=False)
        axes.set_title(f"{kind}, {batch} image{'s' * (batch > 1)}", loc="left")
    rows[-1, 0].set_xlabel("times as fast as the first of each")
    return png(figure)


@style()
def growth(results: Results) -> bytes:
    """Images a second and memory over multiply-adds, a line for each batch size."""
    figure, (rate, memory) = subplots(2, 3.6)
    lines = _lines(results)
    for (batch, points), color in zip(lines.items(), (BLUE, ORANGE, GREEN), strict=False):
        costs, rates, bytes_held, names = zip(*points, strict=True)
        rate.loglog(costs, rates, "o-", color=color, label=f"{batch} at once")
        memory.loglog(costs, bytes_held, "o-", color=color, label=f"{batch} at once")
        if batch == 1:
            ideal = [rates[0] * costs[0] / cost for cost in costs]
            rate.loglog(costs, ideal, ":", color=GREY, label="as many multiply-adds a second as B0")
            for cost, value, name in zip(costs, rates, names, strict=True):
                rate.annotate(name, (cost, value), xytext=(4, 4), textcoords="offset points")
    rate.set_ylabel("images a second")
    memory.set_ylabel("peak memory of the process, GiB")
    for axes in (rate, memory):
        axes.set_xlabel("multiply-adds of one image, billions")
        axes.legend()
    return png(figure)


def _lines(results: Results) -> dict[int, list[tuple[float, float, float, str]]]:
    """By batch: multiply-adds, images a second, memory and name of each network, in order."""
    lines: dict[int, list] = {}
    for (kind, model, size, batch), turns in results.items():
        if kind == "inference" and FASTEST in turns:
            own = turns[FASTEST]
            cost = total(model_config(model), (size, size, 3)).multiply_adds / 1e9
            rate = batch / statistics.median(turn.wall for turn in own)
            name = model.removeprefix("efficientnet-").upper()
            lines.setdefault(batch, []).append((cost, rate, own[-1].memory / 2**30, name))
    return {batch: sorted(points) for batch, points in sorted(lines.items())}


if __name__ == "__main__":
    main()
