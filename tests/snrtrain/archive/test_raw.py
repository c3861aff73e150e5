"""Archive entries of raw scans: the scanner's own images, in SNR units."""

import ismrmrd
import numpy as np
import pytest
import torch

from snrstream.chain.chain import Chain
from snrstream.errors import ConfigurationError
from snrstream.gadgets import accumulate, coil_combine, grappa, noise_adjust, taper
from snrstream.items import Bucket, ReconImage
from snrstream.recon.combine import Grid
from snrstream.recon.lattice import Lattice
from snrstream.recon.plan import MAPS
from snrtrain.archive import raw
from snrtrain.archive.archive import Archive
from snrtrain.archive.gmaps import ALONG_E1, LARGEST_G, possible_gmaps, worth_keeping
from snrtrain.metrics import tissue_level
from snrtrain.simulation.phantom import shepp_logan, simulate_scan
from snrtrain.simulation.scan_file import write as write_simulated
from tests import scans
from tests.recon.simulation import noisy_kspace
from tests.snrtrain.raw_scan import write
from tests.snrtrain.rising_g import require_rising_g


def entries_of(path, **options):
    return [entry for _, entry in raw.entries(path, "someone", "MIT", **options)]


def test_an_entry_is_the_scanners_image_over_its_g_map(raw_scan, read_scan):
    header, acquisitions = read_scan("brain_16ch_r3")
    gadgets = {
        "noise_adjust": noise_adjust, "accumulate": accumulate, "grappa": grappa, "taper": taper,
        "coil_combine": coil_combine,
    }  # fmt: skip
    phase = {"coil_combine": {"maps": "inati"}}  # the slowly varying one is taken out for a network
    chain = Chain(tuple((name, gadget.Parameters(**phase.get(name, {}))) for name, gadget in gadgets.items()))
    (recon,) = (item for item in chain.run(acquisitions, header) if isinstance(item, ReconImage))
    (entry,) = entries_of(raw_scan("brain_16ch_r3"))
    assert entry.axis == "none" and entry.own_noise and entry.noise is None and entry.resolution == (1, 1)
    assert np.allclose(entry.clean[0] * entry.gmaps[0], recon.image[0], atol=1e-4)
    assert np.array_equal(entry.gmaps[0], recon.gmap[0]) and entry.accelerations[0] == (3, 1)
    assert entry.accelerations == (
        (3, 1),
        *((r, 1) for r in (2, 4, 5, 6, 7)),
    )  # 24 lines are too few for a kernel of R = 8


@pytest.mark.parametrize(("name", "n_maps"), [("brain_16ch_r1", 8), ("brain_16ch_r3", 6)])
def test_the_g_maps_of_an_entry_rise_with_r_beside_its_own(raw_scan, name, n_maps):
    (entry,) = entries_of(raw_scan(name))
    require_rising_g(entry)
    assert len(entry.gmaps) == n_maps


@pytest.mark.needs_data
@pytest.mark.parametrize(
    "name", ["brain_16ch_r2", "brain_16ch_r4", "phantom_16ch_r1", "phantom_32ch_r1", "phantom_14ch_r3_noise"]
)
def test_the_g_maps_of_an_entry_rise_with_r_on_other_scans(test_data, name):
    (entry,) = entries_of(test_data / f"{name}.h5")
    require_rising_g(entry)
    assert len(entry.gmaps) >= 6


def test_a_map_is_cut_where_nothing_can_be_learned_and_left_out_where_that_is_half_of_the_object():
    inside = np.zeros((8, 8), bool)
    inside[:, :4] = True
    gmap = np.full((8, 8), 30.0, np.float32)
    gmap[:5, :4] = 3.0
    kept = worth_keeping(gmap, inside)
    assert kept is not None and kept.dtype == np.float32 and set(np.unique(kept)) == {3.0, LARGEST_G}
    gmap[3:, :4] = 25.0
    assert worth_keeping(gmap, inside) is None
    assert worth_keeping(gmap, np.zeros_like(inside)) is None, "without an object all of it counts"


def test_g_maps_of_an_unaccelerated_scan_are_near_those_that_acceleration_gives(raw_scan):
    (full,) = entries_of(raw_scan("brain_16ch_r1"))
    (fast,) = entries_of(raw_scan("brain_16ch_r3"))
    assert full.accelerations[:3] == ((1, 1), (2, 1), (3, 1)) and np.allclose(full.gmaps[0], 1, atol=1e-5)
    inside = np.abs(full.clean[0]) > 0.5 * full.snr
    ratio = full.gmaps[2][inside] / fast.gmaps[0][inside]
    # The coils' geometry here, a kernel of 24 calibration lines there: it is smoother.
    print(np.median(ratio), ratio.std())
    assert float(np.median(ratio)) == pytest.approx(1, abs=0.03) and float(ratio.std()) < 0.06


@pytest.mark.parametrize("name", ["brain_16ch_r1", "brain_16ch_r3"])
def test_g_to_train_with_rises_with_every_r_of_the_brains_calibration_lines(raw_scan, name):
    require_rising_maps(raw_scan(name))


@pytest.mark.needs_data
@pytest.mark.parametrize("name", ["phantom_16ch_r1", "phantom_32ch_r1", "phantom_14ch_r3_noise"])
def test_g_to_train_with_rises_with_every_r_of_a_phantoms_calibration_lines(test_data, name):
    require_rising_maps(test_data / f"{name}.h5")


def require_rising_maps(path):
    """R = 2 to 8, or 7 with 24 lines, in the middle of the object."""
    (bucket,) = raw.buckets(path)
    acs, start = raw.calibration(bucket)
    maps = possible_gmaps(acs, start, bucket.grid.size, ALONG_E1, MAPS.step)
    (image,) = (item for item in combine().run([bucket], scans.NO_HEADER) if isinstance(item, ReconImage))
    inside = np.abs(image.image) > 0.5 * tissue_level(torch.from_numpy(np.abs(image.image)))
    medians = [float(gmap[torch.from_numpy(inside)].median()) for gmap in maps.values()]
    print(path.stem, [f"{median:.2f}" for median in medians])
    assert len(medians) >= 6 and medians == sorted(medians) and medians[0] >= 1


def combine():
    return Chain((("coil_combine", coil_combine.Parameters()),))


def test_repetitions_are_frames_in_time_with_noise_of_their_own(tmp_path):
    scan = simulate_scan(shepp_logan(48), np.random.default_rng(0), 8, 2, 24, 40.0, n_repetitions=5)
    write_simulated(scan, tmp_path / "series.h5")
    (entry,) = entries_of(tmp_path / "series.h5")
    assert entry.axis == "time" and entry.clean.shape == (5, 48, 48) and entry.accelerations[0] == (2, 1)
    inside = np.abs(entry.clean).mean(axis=0) > 10
    noise = (entry.clean - entry.clean.mean(axis=0))[:, inside]
    # 1: SNR units over g. Of five frames' mean, sqrt(4 / 5); 2000 values and more: 2 %.
    assert float(noise.real.std()) == pytest.approx(0.8**0.5, rel=0.06)
    assert entry.snr == pytest.approx(tissue_level(torch.from_numpy(np.abs(entry.clean))))


def test_slices_are_sorted_by_position(tmp_path):
    kspace = noisy_kspace(16, (1, 32, 32), snr=50).numpy()
    acquisitions = []
    for number, height in enumerate((10.0, 0.0, 20.0)):  # as interleaved slices come
        lines = list(scans.acquisitions((1 + height) * kspace, [(0, y) for y in range(32)], slice=number))
        for acquisition in lines:
            acquisition.position[:] = (0, 0, height)
        acquisitions += lines
    path = write(tmp_path / "slices.h5", scans.header((1, 32, 32)), acquisitions)
    (entry,) = entries_of(path)
    assert entry.axis == "slice" and len(entry.clean) == 3
    levels = np.abs(entry.clean).mean(axis=(1, 2))
    assert np.allclose(levels / levels[0], (1, 11, 21), rtol=0.02)


def test_a_volume_is_a_stack_with_g_maps_of_both_directions(tmp_path):
    shape = (20, 28, 20)
    kspace = noisy_kspace(10, shape, snr=50).numpy()
    lines = [(z, y) for z in range(shape[0]) for y in range(shape[1])]
    path = write(tmp_path / "volume.h5", scans.header(shape), scans.acquisitions(kspace, lines))
    task = raw.FileTask(tmp_path / "archive/test/knee", path, "knee", "MIT", n_channels=8)
    raw.store(task)
    assert task.is_done("entries") and not task.is_done("pairs")
    entries = Archive(tmp_path / "archive", "test").entries
    assert [entry.clean.shape for entry in entries] == [(16, 28, 20), (4, 28, 20)]
    assert {(1, 1), (2, 1), (2, 2), (1, 2)} <= set(entries[0].accelerations)
    assert entries[0].source == "volume.h5 (MIT)"


def test_what_cannot_be_reconstructed_is_named(tmp_path):
    kspace = np.ones((16, 1, 32, 32), np.complex64)
    path = write(tmp_path / "gaps.h5", scans.header((1, 32, 32), (2, 1)), scans.acquisitions(kspace, [(0, 16)]))
    with pytest.raises(ConfigurationError, match=r"gaps\.h5: 1 of 16 image lines came|gaps\.h5: .* has no ACS"):
        entries_of(path)
    (tmp_path / "text.h5").write_text("no scan")
    with pytest.raises(ConfigurationError, match=r"text\.h5 cannot be opened as HDF5"):
        raw.check(tmp_path / "text.h5")
    with pytest.raises(ConfigurationError, match=r"none\.h5 does not exist"):
        raw.check(tmp_path / "none.h5")


def test_a_scan_without_calibration_lines_calibrates_by_as_many_where_k_space_is_cut() -> None:
    """On one side of k = 0 the scan has 4 lines: the other side makes up for them."""
    acquired = torch.zeros(1, 128)
    acquired[:, 60:] = 1
    kspace = torch.zeros(2, 1, 128, 8, dtype=torch.complex64)
    bucket = Bucket(
        kspace, acquired, Grid((1, 128)), Lattice((1, 1)), torch.ones(8), None, (1.0, 1.0, 1.0),
        ismrmrd.AcquisitionHeader(),
    )  # fmt: skip
    lines, start = raw.calibration(bucket)
    assert start == (0, 60) and lines.shape[2] == raw.MOST_ACS_LINES
