"""What a run tells while it goes on: a table, curves for TensorBoard, pictures."""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor

from snrstream.errors import ConfigurationError
from snrtrain.methods.batch import Validation

MEASURED = ("step", "seconds", "loss", "learning_rate", "validation_psnr")
BESIDE = ("white_psnr", "white_psnr_2048", "filtered_psnr", "filtered_psnr_2048")  # empty where they are not measured
COLUMNS = MEASURED + BESIDE
TITLES = {"snraware": ("noisy", "network", "clean"), "sn2n": ("original", "denoised", "reference")}
TITLE_HEIGHT = 14  # pixels
WHITE_QUANTILE = 0.995  # of the reference


class Report:
    """log.csv, TensorBoard's files and pictures/ in the folder of a run. What came after `step` is dropped.

    Raises ConfigurationError where the run has a log.csv that cannot be gone on with.
    """

    def __init__(self, folder: Path, step: int, method: str) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._folder, self._started, self._titles, self._step = folder, time.monotonic(), TITLES[method], step
        rows = [row for row in read_log(folder) if int(row["step"]) <= step] if step else []
        self._seconds_before = float(rows[-1]["seconds"]) if rows else 0.0
        with (folder / "log.part").open("w", encoding="utf-8", newline="") as kept:
            log = csv.DictWriter(kept, COLUMNS)
            log.writeheader()
            log.writerows(rows)
        os.replace(folder / "log.part", folder / "log.csv")
        self._file = (folder / "log.csv").open("a", encoding="utf-8", buffering=1, newline="")
        self._log = csv.DictWriter(self._file, COLUMNS)
        self._curves = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1 if step else None)

    def __enter__(self) -> Report:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._curves.close()

    def seconds_left(self, step: int, n_steps: int) -> float:
        """Of a run at a step, by the time that its steps have taken since it began, or went on."""
        return (n_steps - step) * (time.monotonic() - self._started) / max(1, step - self._step)

    def validated(
        self, step: int, loss: float, learning_rate: float, found: Validation, rows: list[list[Tensor]]
    ) -> None:  # fmt: skip
        """One validation. rows: of images, noisy, denoised, reference."""
        seconds = self._seconds_before + time.monotonic() - self._started
        values: tuple[Any, ...] = (step, f"{seconds:.0f}", f"{loss:.6f}", f"{learning_rate:.3g}", f"{found.psnr:.4f}")
        beside = {name: f"{value:.4f}" for name, value in found.told.items()}
        self._log.writerow(dict(zip(MEASURED, values, strict=True)) | beside)
        curves = {"loss": loss, "learning_rate": learning_rate, "validation_psnr": found.psnr, **found.told}
        for name, value in curves.items():
            self._curves.add_scalar(name, value, step)
        picture = contact_sheet(rows, self._titles)
        (self._folder / "pictures").mkdir(exist_ok=True)
        Image.fromarray(picture).save(self._folder / "pictures" / f"{step:07d}.png")
        self._curves.add_image(", ".join(self._titles), picture, step, dataformats="HW")
        self._curves.flush()


def read_log(folder: Path) -> list[dict[str, str]]:
    """The rows of a run's log.csv; none where there is no log. Raises ConfigurationError where it is damaged."""
    path = folder / "log.csv"
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
            if tuple(reader.fieldnames or ()) not in (COLUMNS, MEASURED):  # these, before BESIDE was told
                raise ValueError("other columns")
        for row in rows:
            int(row["step"])
            for name in reader.fieldnames or ():
                float(row[name] or "nan" if name in BESIDE else row[name])
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise ConfigurationError(
            f"{path} is no log of train.py, or damaged ({error}); expected {','.join(COLUMNS)}: mend it or move it away"
        ) from None
    return rows


def contact_sheet(rows: list[list[Tensor]], titles: Sequence[str]) -> np.ndarray:
    """Rows of magnitude images `(e1, ro)` as one picture, uint8, a title over each column.

    Each row is windowed by its last image.
    """
    height, width = (max(image.shape[axis] for row in rows for image in row) for axis in (0, 1))
    sheet = np.zeros((height * len(rows), width * max(map(len, rows))), np.uint8)
    for y, row in enumerate(rows):
        white = float(np.quantile(row[-1].numpy(), WHITE_QUANTILE)) or 1.0
        for x, image in enumerate(row):
            grey = (255 * (image / white).clamp(0, 1)).round().byte().numpy()
            sheet[y * height : y * height + grey.shape[0], x * width : x * width + grey.shape[1]] = grey
    heads = [Image.new("L", (width, TITLE_HEIGHT)) for _ in titles]
    for head, title in zip(heads, titles, strict=True):
        ImageDraw.Draw(head).text((2, 0), title, fill=255)
    return np.concatenate([np.concatenate([np.asarray(head) for head in heads], axis=1), sheet])
