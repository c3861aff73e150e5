"""Pictures of results: images side by side, and curves."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

TILE_INCHES = 2.2
AIR = 0.1  # of the 98th percentile: what lies below it is no object
WHITE = 1.7  # of the 80th percentile of the object, which is bright tissue


def montage(rows: Mapping[str, Mapping[str, np.ndarray]], path: Path, tops: Mapping[str, float] | None = None) -> None:
    """Images `(e1, ro)`, real: one line of them for each of `rows`, each under its name; a row's share their window.

    tops: upper end of the window of images by name, for maps in other units than the row's, whose window ends at a
    percentile of its first image's object, so that a few bright spots do not darken the rest; the first image's is told
    as `white`.
    """
    n_columns = max(len(images) for images in rows.values())
    figure = Figure(figsize=(TILE_INCHES * n_columns, (TILE_INCHES + 0.4) * len(rows)), layout="constrained")
    axes = figure.subplots(len(rows), n_columns, squeeze=False)
    for line, (name, images) in zip(axes, rows.items(), strict=True):
        first = next(iter(images.values()))
        inside = first[first > AIR * np.percentile(first, 98)]
        top = WHITE * float(np.percentile(inside, 80)) if inside.size else 1.0
        for place in line:
            place.set_axis_off()
        for place, (title, image) in zip(line, images.items(), strict=False):
            place.imshow(image, cmap="gray", vmin=0, vmax=(tops or {}).get(title, top), interpolation="nearest")
            place.set_title(title, fontsize=7)
        title = next(iter(images))
        line[0].set_title(f"{name}\nwhite: {(tops or {}).get(title, top):.3g}\n{title}", fontsize=7)
    _save(figure, path, bbox_inches="tight", pad_inches=0.1)  # else the top titles are cut


def curves(x: Sequence[float], lines: Mapping[str, Sequence[float]], x_title: str, y_title: str, path: Path) -> None:
    """One curve for each of `lines`, its largest value marked."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    place = figure.subplots()
    for name, y in lines.items():
        (drawn,) = place.plot(x, y, label=name)
        best = int(np.argmax(y))
        place.plot(x[best], y[best], "o", color=drawn.get_color())
    place.set_xlabel(x_title)
    place.set_ylabel(y_title)
    place.legend(fontsize=7)
    _save(figure, path)


def _save(figure: Figure, path: Path, **more: Any) -> None:
    """Where the disk is full, the table is still to come: that the picture is missing is told, and no more."""
    try:
        figure.savefig(path, dpi=130, **more)
    except OSError as error:
        print(f"{path} cannot be written: {error.strerror or error}; the picture is missing", file=sys.stderr)
