"""The paper's figure 7: where networks scaled in different ways look, on the same pictures.

The maps are class activation maps with a ReLU, see `nn.grad_cam`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from efficientnet_tf.study.drawing import png, style, subplots

_INCHES = 1.4  # of a picture's side


@dataclass(frozen=True)
class Maps:
    """One network and what it makes of every picture.

    Attributes:
      name: what to call it.
      images: float32 [N, S, S, 3] in 0..255, what it saw.
      heat: float32 [N, h, w], at least 0, of `nn.grad_cam.grad_cam` for its likeliest class.
      classes: the name of that class, for each picture.
      probabilities: its own, 0..1.
    """

    name: str
    images: np.ndarray
    heat: np.ndarray
    classes: Sequence[str]
    probabilities: Sequence[float]


@dataclass(frozen=True)
class MapRow:
    """A line of the table.

    Attributes:
      picture: its path, or its place among the evaluation pictures.
      network: of `Maps.name`.
      likeliest, probability: its class.
      share: part of the map that is above half of its largest value, 0..1: how widely it looks.
    """

    picture: str
    network: str
    likeliest: str
    probability: float
    share: float


def rows(networks: Sequence[Maps], pictures: Sequence[str]) -> list[MapRow]:
    """A line for each picture and network."""
    return [
        MapRow(
            picture,
            network.name,
            network.classes[index],
            round(float(network.probabilities[index]), 4),
            round(_share(network.heat[index]), 4),
        )
        for index, picture in enumerate(pictures)
        for network in networks
    ]


def _share(heat: np.ndarray) -> float:
    return float((heat > heat.max() / 2).mean()) if heat.max() > 0 else 0.0


@style()
def chart(networks: Sequence[Maps]) -> bytes:
    """A row for each picture: as it is, then under the map of each network."""
    count = len(networks[0].images)
    figure, axes = subplots(
        1 + len(networks),
        height=_INCHES * count,
        rows=count,
        squeeze=False,
        width=_INCHES * (1 + len(networks)),
    )
    largest = max(networks, key=lambda network: network.images.shape[1])
    for row, cells in enumerate(axes):
        for cell in cells:
            cell.axis("off")
        cells[0].imshow(_pixels(largest.images[row]))
        for cell, network in zip(cells[1:], networks, strict=True):
            side = network.images.shape[1]
            cell.imshow(_pixels(network.images[row]).mean(-1), cmap="gray", vmin=0, vmax=255)
            cell.imshow(
                network.heat[row],
                cmap="inferno",
                alpha=0.55,
                vmin=0,
                vmax=network.heat[row].max() or 1,
                interpolation="bicubic",
                extent=(-0.5, side - 0.5, side - 0.5, -0.5),
            )
            guess = f"{network.probabilities[row]:.0%} {network.classes[row]}"
            heading = f"{network.name}\n" if row == 0 else ""
            cell.set_title(f"{heading}{_cut(guess)}", fontsize=7)
    return png(figure, is_photographic=True)


def _pixels(image: np.ndarray) -> np.ndarray:
    return np.clip(image, 0, 255).astype(np.uint8)


def _cut(text: str) -> str:
    return text if len(text) <= 24 else f"{text[:23]}…"
