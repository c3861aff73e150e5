"""4D files: read a slice at a time, and drawn as series and as single images."""

from pathlib import Path

import numpy as np
import pytest

from snrstream.errors import ConfigurationError
from snrtrain.archive import series, volumes

nibabel = pytest.importorskip("nibabel")
N_PHASES, N_SLICES = 20, 3


def save(path: Path, data: np.ndarray, edges: tuple[float, ...] = (1.0, 1.0, 8.0, 1.0)) -> Path:
    image = nibabel.Nifti1Image(data, np.diag([*edges[:3], 1.0]))
    image.header.set_zooms(edges[: data.ndim])
    nibabel.save(image, path)
    return path


@pytest.fixture
def folder(tmp_path) -> Path:
    """A disc in each slice, brighter from phase to phase by a hundredth, and from slice to slice by a tenth."""
    y, x = np.meshgrid(*2 * [np.linspace(-1, 1, 100)], indexing="ij")
    disc = 1000.0 * (np.hypot(x, y) < 0.7)[:, :, None, None]
    brighter = (1 + 0.1 * np.arange(N_SLICES))[:, None] * (1 + 0.01 * np.arange(N_PHASES))
    save(tmp_path / "heart.nii.gz", (disc * brighter).astype(np.int16))
    return tmp_path


def test_a_file_is_a_series_by_its_fourth_axis(folder):
    save(folder / "one.nii.gz", np.ones((100, 100, 9, 1), np.float32))
    assert series.is_series(folder, "heart") and not series.is_series(folder, "one")
    with pytest.raises(ConfigurationError, match=r"heart\.nii\.gz is a series of 20 images; expected \(x, y, z\)"):
        volumes.load(folder, "heart")


def test_frames_are_phases_of_one_slice_forwards_and_evenly_spaced(folder):
    found = series.load(folder, "heart")
    assert found.shape == (100, 100, N_SLICES, N_PHASES)
    seen = set()
    for seed in range(20):
        frames = series.draw_frames(found, np.random.default_rng(seed))
        assert frames.dtype == np.float32 and frames.shape[1:] == (100, 100)
        assert series.FEWEST_FRAMES <= len(frames) <= series.MOST_FRAMES
        of_slice = frames[:, 50, 50] / frames[0, 50, 50]
        steps = np.diff(of_slice)
        assert np.ptp(steps) < 1e-3 * steps.mean() + 2e-3 and steps.min() > 0
        first = frames[0, 50, 50] * found.level.bright * 2**found.level.exponent
        slice_ = min(
            range(N_SLICES), key=lambda n: min(abs(first - (1000 + 100 * n) * (1 + 0.01 * p)) for p in range(13))
        )
        seen.add((slice_, round(float(steps.mean() * 100))))
    assert {step for _, step in seen} == {1, 2} and len({slice_ for slice_, _ in seen}) > 1, (
        "20 phases: apart by 1 or 2"
    )


def test_bright_tissue_is_one_in_every_slice_and_phase_on_one_scale(folder):
    found = series.load(folder, "heart", floor=True)
    whole = np.stack([found.slice(number) for number in range(N_SLICES)])
    assert whole[2, 50, 50, 0] == pytest.approx(1, rel=0.01), "the brightest slice of the first phase"
    assert whole[0, 50, 50, 10] / whole[0, 50, 50, 0] == pytest.approx(1.1, rel=0.01)
    assert series.draw_image(found, np.random.default_rng(0)).max() == pytest.approx(1.0, abs=0.35)


def test_pixels_are_made_square(folder):
    data = np.asarray(nibabel.load(folder / "heart.nii.gz").dataobj)
    save(folder / "oblong.nii.gz", data, (1.0, 1.5, 8.0, 1.0))
    assert series.draw_frames(series.load(folder, "oblong"), np.random.default_rng(0)).shape[1:] == (100, 150)


@pytest.mark.parametrize(
    ("shape", "edges", "message"),
    [
        ((100, 100, 3, 7), (1.0, 1.0, 8.0, 1.0), r"has 7 phases; expected 8 or more, or a volume \(x, y, z\)"),
        ((90, 100, 3, 9), (1.0, 1.0, 8.0, 1.0), "has images of 90 x 100 pixels of 1 x 1 mm; expected 96 pixels"),
        (
            (100, 100, 3, 9),
            (1.0, 4.0, 8.0, 1.0),
            "has images of 100 x 100 pixels of 1 x 4 mm; expected 96 pixels an edge, nearly square",
        ),
        ((100, 100, 2, 2, 9), (1.0,) * 5, r"has shape \(100, 100, 2, 2, 9\), pixels .*expected \(x, y, slice, phase\)"),
    ],
)
def test_other_shapes_are_named(tmp_path, shape, edges, message):
    save(tmp_path / "odd.nii.gz", np.ones(shape, np.uint8), edges)
    with pytest.raises(ConfigurationError, match=rf"series .*odd\.nii\.gz {message}"):
        series.load(tmp_path, "odd")


def test_what_is_too_large_for_memory_empty_or_damaged_is_named(folder, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(series, "MOST_VALUES", 100 * 100 * 19)
        with pytest.raises(ConfigurationError, match=r"has \(100, 100, 3, 20\) values; expected 190000 or less"):
            series.load(folder, "heart")
    save(folder / "dark.nii.gz", np.zeros((100, 100, 3, 9), np.uint8))
    with pytest.raises(ConfigurationError, match=r"dark\.nii\.gz is empty"):
        series.load(folder, "dark")
    whole = (folder / "heart.nii.gz").read_bytes()
    (folder / "cut.nii.gz").write_bytes(whole[: len(whole) // 2])
    found = series.load(folder, "cut")
    with pytest.raises(ConfigurationError, match=r"cut\.nii\.gz cannot be read"):
        found.slice(N_SLICES - 1)
