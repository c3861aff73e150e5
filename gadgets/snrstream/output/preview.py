"""One row of labelled panels for a human: original, denoised, their difference, phases, residual, g-map, SNR map."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import ismrmrd
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..errors import ScanError
from ..image_kind import ImageKind, ImagePart
from ..system.numbers import three_digits
from .image_values import (
    display_window,
    kind_of,
    meta_values,
    physical_values,
    quantile_range,
    unit_of,
)
from .orientation import edge_letters

PANEL_HEIGHT = 384
MAX_PANEL_HEIGHT = 1024
LONGEST_TITLE = 80
WIDEST, NARROWEST = 6.0, 1 / 6  # panels; what is beyond is drawn out of shape
GAP, BAR_HEIGHT = 28, 10
LONGEST_NOTE = 140
LINE = 24
BACKGROUND, BRIGHT, DIM, ALARM = (17, 19, 24), (240, 242, 245), (158, 165, 176), (255, 170, 60)
AMPLIFICATION = 5  # of every difference, or two previews would not compare

GRAY = ((0, 0, 0), (255, 255, 255))
# Nine points of matplotlib's viridis (CC0): equal steps in value look like equal steps.
VIRIDIS = (
    *((68, 1, 84), (71, 44, 122), (59, 81, 139), (44, 113, 142), (33, 144, 141)),
    *((39, 173, 129), (92, 200, 99), (170, 220, 50), (253, 231, 37)),
)


@dataclass(frozen=True)
class Panel:
    """A picture of one slice, and how to show it.

    Attributes
    ----------
    title, unit
        Above it.
    values
        `(y, x)` float64, physical.
    low, high
        The values that are shown in the first and the last of the colours.
    width_over_height
        Of the field of view.
    edges
        Letters at the left, right, top and bottom.
    colors
        Points of equal distance, red, green and blue to 255.
    wraps
        Whether the last value is next to the first, so that there is nothing between neighbouring pixels.
    """

    title: str
    unit: str
    values: np.ndarray
    low: float
    high: float
    width_over_height: float
    edges: tuple[str, str, str, str] = ("", "", "", "")
    colors: tuple[tuple[int, int, int], ...] = GRAY
    wraps: bool = False


def draw_preview(images: Sequence[ismrmrd.Image], title: str) -> Image.Image:
    """An RGB picture of the middle image of each kind, one panel each, in physical units.

    Original and denoised share one window, so that brightness compares; their difference is amplified within the
    same window, always by `AMPLIFICATION`, and left out where the original itself stands in for the denoised image. The
    residual, the magnitude of a complex difference, has a window of its own. Phases are shown from -pi to pi, real and
    imaginary parts only where there is nothing else. Of images of one kind in several series the first series counts.
    Under the title stand the model and alpha, and whether pixels are not in SNR units; at the edges, the sides of the
    patient.

    Parameters
    ----------
    images
        Of one scan; pixels (channel, z, y, x).
    title
        For the top, cut at 80 characters.

    Raises
    ------
    ScanError
        There is no image, or one with pixels that are not finite.
    """
    panels, notes = _panels(images)
    ny = panels[0].values.shape[0]
    # A whole factor keeps the upscaled pixels of equal size.
    height = min(ny * max(1, math.ceil(PANEL_HEIGHT / ny)), MAX_PANEL_HEIGHT)
    cells = [_draw(panel, height) for panel in panels]
    title = " ".join(title.split())[:LONGEST_TITLE]
    title_font = ImageFont.load_default(26)
    width = sum(cell.width for cell in cells) + GAP * (len(cells) + 1)
    note_font = ImageFont.load_default(16)
    lengths = [title_font.getlength(title), *(note_font.getlength(note) for note, _ in notes)]
    width = max(width, math.ceil(max(lengths)) + 2 * GAP)
    top = GAP + 26 + 22 + LINE * len(notes)
    canvas = Image.new("RGB", (width, top + cells[0].height + GAP), BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    draw.text((GAP, GAP), title, font=title_font, fill=BRIGHT)
    for n, (note, color) in enumerate(notes):
        draw.text((GAP, GAP + 26 + 10 + LINE * n), note, font=note_font, fill=color)
    x = GAP
    for cell in cells:
        canvas.paste(cell, (x, top))
        x += cell.width + GAP
    return canvas


def _panels(images: Sequence[ismrmrd.Image]) -> tuple[list[Panel], list[tuple[str, tuple[int, int, int]]]]:
    """The panels, and lines of text in their colours."""
    if not images:
        raise ScanError("no images to preview: the chain sent none, expected at least one")
    phases = [image for image in images if ImagePart.of(image.image_type) is ImagePart.PHASE]
    magnitudes = [image for image in images if ImagePart.of(image.image_type) is ImagePart.MAGNITUDE]
    kinds = _by_kind(magnitudes if magnitudes or phases else images)
    original = _pick(kinds.get(ImageKind.ORIGINAL), None)
    stand_in = _pick(kinds.get(ImageKind.STAND_IN), original)
    denoised = _pick(kinds.get(ImageKind.DENOISED), original)
    shown = original or denoised or stand_in
    panels = []
    if shown is not None:
        center, width = display_window(shown)
        low, high = center - width / 2, center + width / 2
        for image, name in ((original, "Original"), (denoised, "Denoised"), (stand_in, "Not denoised")):
            if image is not None and (image is not stand_in or denoised is None):
                panels.append(_panel(image, name, low, high))
        if original and denoised and panels[0].values.shape == panels[1].values.shape:
            panels.append(_difference(*panels))
    for kind, same in _by_kind(phases).items():
        phase = _pick(same, shown)
        if phase is not None:
            low, high = (-math.pi, math.pi) if unit_of(phase) == "rad" else quantile_range(phase)
            panels.append(replace(_panel(phase, f"Phase, {kind.description}", low, high), wraps=True))
    for kind, name, colors in (
        (ImageKind.RESIDUAL, "Residual", GRAY),
        (ImageKind.G_MAP, "g-map", VIRIDIS),
        (ImageKind.SNR_MAP, "SNR map", VIRIDIS),
    ):
        image = _pick(kinds.get(kind), shown)
        if image is not None:
            panels.append(_panel(image, name, *quantile_range(image), colors))
    notes = [("NOT IN SNR UNITS", ALARM)] if any(panel.unit == "a.u." for panel in panels) else []
    if denoised and (how := _how_denoised(denoised)):
        notes.append((how, DIM))
    return panels, notes


def _how_denoised(image: ismrmrd.Image) -> str:
    """Model, alpha and strength, as far as the image tells."""
    parts = []
    for key, word in (("model", "denoised by"), ("alpha", "alpha"), ("strength", "strength")):
        values = meta_values(image, f"SNRSTREAM_{key}")
        if values and not (key == "strength" and values == ["1"]):
            parts.append(f"{word} {' '.join(values)}")
    text = ", ".join(parts)
    return text if len(text) <= LONGEST_NOTE else text[: LONGEST_NOTE - 4] + " ..."


def _by_kind(images: Sequence[ismrmrd.Image]) -> dict[ImageKind, list[ismrmrd.Image]]:
    """The images of each kind, of the first series that holds one."""
    found: dict[ImageKind, list[ismrmrd.Image]] = {}
    for image in sorted(images, key=lambda image: image.image_series_index):
        same = found.setdefault(kind_of(image), [])
        if not same or same[0].image_series_index == image.image_series_index:
            same.append(image)
    return found


def _pick(images: list[ismrmrd.Image] | None, like: ismrmrd.Image | None) -> ismrmrd.Image | None:
    """The image at the place (slice, contrast ...) of another one, else the middle one."""
    if not images:
        return None
    same_place = [image for image in images if like is not None and _place(image) == _place(like)]
    return same_place[0] if same_place else images[len(images) // 2]


def _place(image: ismrmrd.Image) -> tuple[int, ...]:
    return image.slice, image.contrast, image.phase, image.repetition, image.set, image.average


def _panel(
    image: ismrmrd.Image, title: str, low: float, high: float, colors: tuple[tuple[int, int, int], ...] = GRAY
) -> Panel:
    values = physical_values(image)
    fov_x_mm, fov_y_mm, _ = image.field_of_view
    ny, nx = values.shape[2:]
    is_known = fov_x_mm > 0 and fov_y_mm > 0
    aspect = fov_x_mm / fov_y_mm if is_known else nx / ny
    aspect = min(max(aspect, NARROWEST), WIDEST)
    label = {"": "noise amplification", "SNR": "SNR units"}.get(unit_of(image), unit_of(image))
    return Panel(title, label, values[0, values.shape[1] // 2], low, high, aspect, edge_letters(image), colors)


def _difference(original: Panel, denoised: Panel) -> Panel:
    """Original minus denoised, grey at 0: its window is the images' over `AMPLIFICATION`."""
    limit = (original.high - original.low) / 2 / AMPLIFICATION
    name = f"Original - denoised, x{AMPLIFICATION}"
    values = original.values - denoised.values
    return Panel(name, original.unit, values, -limit, limit, original.width_over_height, original.edges)


def _draw(panel: Panel, height: int) -> Image.Image:
    """A panel with its labels above and its colour bar below."""
    title_font, small_font = ImageFont.load_default(22), ImageFont.load_default(16)
    subtitle = f"{panel.unit}, {three_digits(panel.low)} to {three_digits(panel.high)}"
    picture_width = max(1, round(height * panel.width_over_height))
    width = max(
        picture_width,
        math.ceil(title_font.getlength(panel.title)),
        math.ceil(small_font.getlength(subtitle)),
    )
    top, bar_top = 62, 62 + height + 12
    cell = Image.new("RGB", (width, bar_top + BAR_HEIGHT + 26), BACKGROUND)
    draw = ImageDraw.Draw(cell)
    left = (width - picture_width) // 2
    draw.text((left, 0), panel.title, font=title_font, fill=BRIGHT)
    draw.text((left, 32), subtitle, font=small_font, fill=DIM)
    # Interpolation would draw overshoots around the masked background of a map.
    is_smooth = panel.colors is GRAY and not panel.wraps
    resample = Image.Resampling.BICUBIC if is_smooth else Image.Resampling.NEAREST
    level = (panel.values - panel.low) / (panel.high - panel.low)
    size = (picture_width, height)
    shown = np.asarray(Image.fromarray(level.astype(np.float32)).resize(size, resample))
    cell.paste(_colored(shown, panel.colors), (left, top))
    _draw_edges(draw, panel.edges, (left, top, left + picture_width, top + height))
    bar = np.broadcast_to(np.linspace(0, 1, picture_width), (BAR_HEIGHT, picture_width))
    cell.paste(_colored(bar, panel.colors), (left, bar_top))
    labels_top, right = bar_top + BAR_HEIGHT + 5, left + picture_width
    draw.text((left, labels_top), three_digits(panel.low), font=small_font, fill=DIM)
    draw.text((right, labels_top), three_digits(panel.high), font=small_font, fill=DIM, anchor="ra")
    return cell


def _draw_edges(draw: ImageDraw.ImageDraw, edges: tuple[str, str, str, str], box: tuple[int, int, int, int]) -> None:
    """Letters inside the edges of a box (left, top, right, bottom), outlined to be read on any grey."""
    left, top, right, bottom = box
    x, y = (left + right) // 2, (top + bottom) // 2
    places = ((left + 6, y, "lm"), (right - 6, y, "rm"), (x, top + 6, "ma"), (x, bottom - 6, "md"))
    font = ImageFont.load_default(18)
    for letters, (at_x, at_y, anchor) in zip(edges, places, strict=True):
        draw.text((at_x, at_y), letters, font=font, fill=BRIGHT, anchor=anchor, stroke_width=2, stroke_fill=BACKGROUND)


def _colored(level: np.ndarray, colors: tuple[tuple[int, int, int], ...]) -> Image.Image:
    """Levels (y, x), 0 to 1 with all beyond clipped, in the colours of a table."""
    points = np.linspace(0, 1, len(colors))
    channels = [np.interp(level, points, [color[i] for color in colors]) for i in range(3)]
    return Image.fromarray(np.rint(np.stack(channels, axis=-1)).astype(np.uint8))
