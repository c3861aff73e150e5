"""Which volumes sN2N's pairs are made of, and how fine they are."""

import numpy as np
import pytest

from snrtrain.archive.volumes import Volume
from snrtrain.simulation import simulated_pairs

FINE, THICK = 0.7, 4.0


def volume(shape: tuple[int, int, int], voxel_mm: tuple[float, float, float]) -> Volume:
    """An ellipsoid in air."""
    z = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij", sparse=True)
    return Volume("ball", (sum(axis**2 for axis in z) < 0.8).astype(np.float32), voxel_mm)


@pytest.mark.parametrize(
    ("shape", "voxel_mm", "able"),
    [
        ((128, 160, 128), (FINE, FINE, FINE), [0, 1, 2]),
        ((160, 160, 36), (FINE, FINE, THICK), [2]),
        ((160, 160, 24), (FINE, FINE, THICK), []),  # too few partitions
        ((160, 160, 40), (1.0, 1.0, 1.0), []),  # a slab in which all coils see the same
        ((160, 160, 300), (1.4, 1.4, 8.0), []),  # single images of many patients, no third direction
    ],
)
def test_only_volumes_in_3d_are_taken(shape, voxel_mm, able) -> None:
    assert simulated_pairs._axes(volume(shape, voxel_mm)) == able


def test_a_whole_volume_has_partitions_enough_whatever_their_number() -> None:
    for n_slices in (28, 36, 43, 44, 55, 200):
        tall = volume((96, 96, n_slices), (1.0, 1.0, 1.0))
        found = [len(simulated_pairs._whole(tall, 2, np.random.default_rng(seed))[0]) for seed in range(8)]
        assert min(found) >= simulated_pairs.FEWEST_PARTITIONS and max(found) <= 2 * simulated_pairs.MOST_PARTITIONS


def test_a_block_keeps_the_volumes_resolution_and_fades_into_air() -> None:
    fine = volume((160, 200, 170), (FINE, FINE, FINE))
    partitions = simulated_pairs._of_block(fine, 0)
    # 0.4 of 128 pixels of the same edge, and no more than a block may have.
    assert (partitions.start, partitions.stop - 1) == (52, simulated_pairs.MOST_OF_BLOCK)
    slices, heights = simulated_pairs._block(fine, 0, partitions, np.random.default_rng(0))
    assert slices.shape[1:] == (128, 128) and len(slices) == len(heights) in partitions
    assert np.diff(heights) == pytest.approx(2 / 128), "of half a field of view of the block, not of the volume"
    faces = [face for axis in range(3) for face in (slices.take(0, axis), slices.take(-1, axis))]
    assert max(float(face.max()) for face in faces) < 0.05 * slices.max() == pytest.approx(0.05)
    # A thick volume has few partitions, all of which a block keeps; the plane is cut to as many pixels.
    thick = volume((160, 200, 36), (FINE, FINE, THICK))
    assert simulated_pairs._of_block(thick, 2) == range(28, 37)
    assert not simulated_pairs._of_block(volume((400, 400, 36), (2.0, 2.0, 2.0)), 2), "too thin for its plane"


def test_coil_images_of_blocks_and_of_whole_volumes(monkeypatch) -> None:
    monkeypatch.setattr(simulated_pairs, "LARGEST_PLANE", 113)  # from 112 pixels on
    thick = volume((128, 112, 30), (FINE, FINE, THICK))
    shapes = {
        simulated_pairs.draw_coil_images(thick, np.random.default_rng(seed)).shape[1:2] for seed in range(2)
    }  # fmt: skip
    assert all(28 <= n <= 30 for (n,) in shapes)
