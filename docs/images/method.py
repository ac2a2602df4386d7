"""Draw ``method.svg`` of docs/method.md: two volumes, and the residual as a height over a plane.

Run it as ``python docs/images/method.py``; the picture is written beside this file.
"""

from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
import numpy as np
from mpl_toolkits.mplot3d import Axes3D  # type: ignore[import-untyped]
from mpl_toolkits.mplot3d.art3d import Poly3DCollection  # type: ignore[import-untyped]
from numpy.typing import NDArray

Vector = NDArray[np.float64]
COLORS = {"text": "#000000", "video": "#0072b2", "audio": "#d55e00"}
"""Told apart by color-blind readers, and by their lightness in grey."""
FACE = "#9ecae1"


def unit(*numbers: float) -> Vector:
    """Scale a vector to length 1."""
    vector = np.array(numbers)
    return np.asarray(vector / np.linalg.norm(vector))


def draw_vectors(axes: Axes3D, vectors: dict[str, Vector]) -> None:
    """Draw named arrows from the origin."""
    for name, vector in vectors.items():
        axes.quiver(0, 0, 0, *vector, color=COLORS[name], linewidth=2, arrow_length_ratio=0.08)
        axes.text(*(1.12 * vector), name, color=COLORS[name], fontsize=9, ha="center")


def fit(axes: Axes3D, points: Vector) -> None:
    """Show all points (n, 3) on one scale for the three axes, without the axes themselves."""
    low, high = points.min(axis=0), points.max(axis=0)
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), zlim=(low[2], high[2]))
    axes.set_box_aspect(high - low)
    axes.set_axis_off()
    axes.view_init(elev=24, azim=-70)


def draw_volume(axes: Axes3D, text: Vector, video: Vector, audio: Vector) -> None:
    """Draw the body that three vectors span, and its volume as a title."""
    faces = [
        [shift, shift + one, shift + one + other, shift + other]
        for one, other, third in ((text, video, audio), (text, audio, video), (video, audio, text))
        for shift in (np.zeros(3), third)
    ]
    axes.add_collection3d(
        Poly3DCollection(faces, facecolor=FACE, edgecolor="#555555", alpha=0.25, linewidth=0.6)
    )
    draw_vectors(axes, {"text": text, "video": video, "audio": audio})
    fit(axes, np.concatenate(faces))
    volume = abs(np.linalg.det(np.stack([text, video, audio])))
    axes.set_title(f"volume {volume:.2f}", fontsize=10)


def draw_residual(axes: Axes3D, text: Vector, video: Vector, audio: Vector) -> None:
    """Draw the plane of an item's two vectors and the height of the text over it."""
    basis = np.linalg.qr(np.stack([video, audio], axis=1))[0]
    foot = basis @ (basis.T @ text)
    corners = [a * video + b * audio for a, b in ((0, 0), (1.1, 0), (1.1, 1.1), (0, 1.1))]
    axes.add_collection3d(Poly3DCollection([corners], facecolor=FACE, alpha=0.35))
    draw_vectors(axes, {"text": text, "video": video, "audio": audio})
    axes.plot(*zip(text, foot, strict=True), color="black", linestyle="--", linewidth=1.5)
    axes.plot(*zip(np.zeros(3), foot, strict=True), color="#555555", linewidth=1)
    fit(axes, np.array([*corners, text]))
    height = np.linalg.norm(text - foot)
    axes.text(*(0.8 * text + 0.2 * foot), f"  residual {height:.2f}", fontsize=9)
    axes.set_title("height over the span of video and audio", fontsize=10)


def draw(path: Path) -> None:
    """Draw the three panels."""
    plt.rcParams["svg.hashsalt"] = "gram"
    figure = plt.figure(figsize=(10, 3.6), layout="constrained")
    near = unit(1, 0.25, 0.55), unit(1, 0.1, 0.1), unit(0.8, 0.55, 0.1)
    far = unit(0.2, 0.1, 1), unit(1, 0.1, 0.1), unit(0.15, 1, 0.1)
    for place, (panel, vectors) in enumerate(
        ((draw_volume, near), (draw_volume, far), (draw_residual, near)), start=1
    ):
        panel(figure.add_subplot(1, 3, place, projection="3d"), *vectors)
    figure.savefig(path, metadata={"Date": None}, bbox_inches="tight")


if __name__ == "__main__":
    draw(Path(__file__).with_suffix(".svg"))
