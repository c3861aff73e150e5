"""Tiles cover every pixel with weights that add up to 1, and leave no trace where the overlap is wide enough."""

import numpy as np
import pytest

from snrstream.denoising.loaded import load_model
from snrstream.denoising.manifest_fields import Manifest
from snrstream.denoising.seam import measure_seam
from snrstream.denoising.tiling import PIXELS_AT_ONCE, plan_tiles

from .conftest import MANIFEST
from .images import random_image
from .networks import Global, Smoothing, onnx_file, torchscript

SAME = 1e-4  # of the noise SD, which is 1: float32 sums in another order differ by 1e-6


def stack(shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """An object of SNR 20 under noise of SD 1, and a g-map that the network reads."""
    image = random_image(shape)
    image[:, shape[1] // 4 : shape[1] // 2, shape[2] // 3 :] += 20
    gmap = 1 + 0.2 * np.cos(np.arange(shape[2]) / 9)
    return image, np.broadcast_to(gmap, shape).astype(np.float32)


# A receptive field beyond a patch's overlap counts for none.
@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize(
    ("patch", "overlap", "divisor", "field"),
    [
        *((None, None, 8, field) for field in (0, 5, 200)),
        *(([16, 64, 64], [8, 16, 16], 1, field) for field in (0, 5, 200)),
        ([16, 64, 64], [0, 0, 0], 8, 0),
        *(([4, 32, 48], [3, 31, 47], 1, field) for field in (0, 5)),
        *(([5, 16, 24], [2, 8, 8], 8, field) for field in (0, 5)),
    ],
)
def test_the_weights_of_all_tiles_add_up_to_one(patch, overlap, divisor, field, shifted) -> None:
    manifest = Manifest(**{
        **MANIFEST, "frames": ("time",), "n_frames": patch[0] if patch else 0, "patch": patch, "overlap": overlap,
        "divisor": divisor, "receptive_field": (field, field, field),
    })  # fmt: skip
    for shape in ((1, 7, 5), (16, 64, 64), (17, 65, 129), (40, 100, 31), (9, 151, 103)):
        plan = plan_tiles(shape, manifest, largest=72, shifted=shifted)
        total = np.zeros([n + 128 for n in shape], np.float32)
        for tile in (tile for group in plan.groups for tile in group):
            ends = [s + n for s, n in zip(tile.start, plan.size, strict=True)]
            weights = [np.ones(n) if w is None else w for n, w in zip(plan.size, tile.weights, strict=True)]
            total[tuple(map(slice, tile.start, ends))] += np.einsum("t,y,x->tyx", *weights)
            assert all(s % divisor == 0 for s in tile.start[1:])
            assert all(start == 0 or start < n for start, n in zip(tile.start, shape, strict=True))
        assert np.abs(total[tuple(map(slice, shape))] - 1).max() < 1e-5  # float32, up to 10,000 tiles over a pixel
        assert plan.at_once * np.prod(plan.size) <= PIXELS_AT_ONCE


def test_memory_is_bounded_whatever_the_image() -> None:
    manifest = Manifest(**{**MANIFEST, "frames": ("time",)})
    for shape in ((1, 8192, 8192), (500, 512, 512), (8, 20, 100_000)):
        plan = plan_tiles(shape, manifest)
        assert plan.at_once * np.prod(plan.size) <= PIXELS_AT_ONCE
    assert plan_tiles((1, 1024, 1024), manifest).size == (1, 1024, 1024), "a large image that fits is left whole"


@pytest.mark.parametrize("form", ["onnx", "torchscript"])
def test_a_network_whose_receptive_field_fits_the_overlap_gives_the_same_whatever_the_tiling(install, form) -> None:
    network = (onnx_file if form == "onnx" else torchscript)(Smoothing())
    shared = {"model": network, "format": form, "frames": "time", "divisor": 8}
    install(**shared, name="whole")
    install(**shared, name="known", receptive_field=[5, 5, 5])
    install(**shared, name="frames", n_frames=8, receptive_field=[5, 5, 5])
    install(**shared, name="patch", patch=[8, 32, 40], overlap=[5, 8, 16], receptive_field=[5, 5, 5])
    install(**shared, name="unknown", patch=[10, 48, 32], overlap=[8, 8, 8])
    image, gmap = stack((21, 101, 93))
    whole = load_model("whole").denoise(image, gmap)
    assert np.abs(whole - image).max() > 0.5, "the network does something"
    assert load_model("whole").tile(image.shape) == (21, 104, 96)
    for name in ("frames", "patch", "unknown"):
        model = load_model(name)
        assert model.tile(image.shape) != (21, 104, 96)
        assert np.abs(model.denoise(image, gmap) - whole).max() < SAME, name
        assert measure_seam(model, image, gmap).largest < SAME
    for largest in (64, 72, 88):
        for shifted in (False, True):
            tiled = load_model("known").denoise_in_tiles(image, gmap, largest, shifted)
            assert np.abs(tiled - whole).max() < SAME


@pytest.mark.parametrize("patch", [None, [1, 64, 64]])
def test_the_seam_of_a_network_that_sees_all_of_its_tile_is_measured(install, patch) -> None:
    overlap = patch and [0, 16, 16]
    install(torchscript(Global()), format="torchscript", patch=patch, overlap=overlap)
    image, gmap = stack((1, 140, 130))
    image[0, 3, 4] = 40  # in the corner: other tiles do not see it
    seam = measure_seam(load_model("tiny"), image, gmap)
    assert 0.1 < seam.at_borders < seam.largest < 6, "a tenth of the brightest pixel, 40 or 20, over g"
    install(torchscript(Smoothing()), name="local", format="torchscript", patch=patch, overlap=overlap)
    assert measure_seam(load_model("local"), image, gmap).largest < SAME


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 5, 31), (2, 32, 32), (7, 33, 90), (9, 100, 32)])
def test_a_fixed_patch_takes_any_size(install, shape) -> None:
    install(patch=[4, 32, 32], overlap=[2, 8, 8], frames="time")
    image, gmap = random_image(shape), np.ones(shape, np.float32)
    denoised = load_model("tiny").denoise(image, gmap)
    assert denoised.dtype == np.complex64 and np.abs(denoised - 0.5 * image).max() < 1e-6  # float32
