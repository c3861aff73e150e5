"""Coil elements that are dead or hot: the image is that of the others, and its warning names them."""

import re

import ismrmrd
import numpy as np
import pytest

from snrstream.errors import ScanError
from snrstream.gadgets import accumulate, coil_combine, compress_channels, grappa, noise_adjust
from snrstream.gadgets.gadget import Scan
from snrstream.gadgets.gadget import run as run_gadget
from snrstream.items import ReconImage
from snrstream.noise import store
from snrstream.noise.measurement import measured_noise

from .. import scans
from ..recon.simulation import noisy_kspace

N_CHANNELS, SHAPE = 8, (1, 48, 32)
KSPACE = noisy_kspace(N_CHANNELS, SHAPE, snr=50).numpy()
NOISE = scans.random_complex(N_CHANNELS, 20_000, seed=3)
GAINS = np.linspace(1, 6, N_CHANNELS, dtype=np.float32)[:, None]  # elements of a coil differ


def lines(kspace: np.ndarray, noise: np.ndarray, r: int) -> list[ismrmrd.Acquisition]:
    first = ismrmrd.Acquisition.from_array(np.ascontiguousarray(noise * GAINS[: len(noise)]), sample_time_us=5.0)
    first.set_flag(ismrmrd.ACQ_IS_NOISE_MEASUREMENT)
    kspace = kspace * GAINS[: len(kspace), :, None, None]
    block = [(0, y) for y in range(14, 34)] if r > 1 else []
    acs = scans.acquisitions(kspace, block, [ismrmrd.ACQ_IS_PARALLEL_CALIBRATION], end=False)
    return [first, *acs, *scans.acquisitions(kspace, [(0, y) for y in range(0, 48, r)])]


def reconstructed(kspace: np.ndarray, noise: np.ndarray, r: int, virtual: int | None = None) -> tuple[Scan, ReconImage]:
    scan = Scan(scans.header(SHAPE, (r, 1)))
    items = run_gadget(noise_adjust, lines(kspace, noise, r), scan)
    items = run_gadget(accumulate, items, scan)
    if virtual is not None:
        items = run_gadget(compress_channels, items, scan, compress_channels.Parameters(channels=virtual))
    items = run_gadget(coil_combine, run_gadget(grappa, items, scan), scan)
    (image,) = items
    return scan, image


def without(channels: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """The same scan by a coil that does not have them; the others keep their gains."""
    live = [c for c in range(N_CHANNELS) if c not in channels]
    whole = GAINS / GAINS[: len(live)][np.searchsorted(live, np.arange(N_CHANNELS)).clip(max=len(live) - 1)]
    return KSPACE[live] * whole[live, :, None, None], NOISE[live] * whole[live]


DEAD = {
    "zero in both": (0, 0),
    "zero in the noise": (1, 0),
    "next to nothing in the noise": (1, 1e-5),
    "next to nothing in both": (1e-5, 1e-5),
}


@pytest.mark.parametrize("name", DEAD)
@pytest.mark.parametrize("channels", [[0], [3, 7]])
@pytest.mark.parametrize("r", [1, 2])
def test_dead_channels_are_left_out_and_named(name: str, channels: list[int], r: int) -> None:
    in_data, in_noise = DEAD[name]
    kspace, noise = KSPACE.copy(), NOISE.copy()
    kspace[channels] *= in_data
    noise[channels] *= in_noise
    scan, image = reconstructed(kspace, noise, r)
    _, expected = reconstructed(*without(channels), r)
    # Single precision, in products of other sizes.
    assert np.linalg.norm(np.abs(image.image) - np.abs(expected.image)) < 1e-4 * np.linalg.norm(expected.image)
    assert np.allclose(image.gmap, expected.gmap, rtol=1e-3)
    assert image.warnings == scan.warnings == (
        f"channels {channels} have no noise, or next to none, in the noise measurement: left out",
    )  # fmt: skip


def test_the_noise_of_the_others_stays_1() -> None:
    noise = NOISE.copy()
    noise[[2, 5]] = 0
    acquisitions = lines(KSPACE, noise, 1)
    fresh = scans.random_complex(N_CHANNELS, 30_000, seed=9) * GAINS
    data = ismrmrd.Acquisition.from_array(fresh, sample_time_us=5.0)
    (white,) = run_gadget(noise_adjust, [acquisitions[0], data], scans.header(SHAPE))
    live = [0, 1, 3, 4, 6, 7]
    assert white.data.shape == fresh.shape and not white.data[[2, 5]].any()
    # Of 30,000 samples, and a covariance of 20,000.
    assert np.allclose(white.data[live].real.std(axis=1), 1, atol=0.03)
    assert np.allclose(white.data[live].imag.std(axis=1), 1, atol=0.03)


def test_dead_channels_are_compressed_away() -> None:
    kspace, noise = KSPACE.copy(), NOISE.copy()
    kspace[1], noise[1] = 0, 0
    _, image = reconstructed(kspace, noise, 2, virtual=6)
    _, expected = reconstructed(*without([1]), 2, virtual=6)
    assert np.linalg.norm(np.abs(image.image) - np.abs(expected.image)) < 0.01 * np.linalg.norm(expected.image)


@pytest.mark.parametrize("r", [1, 2])
def test_hot_channels_count_for_little_and_are_named(r: int) -> None:
    kspace, noise = KSPACE.copy(), NOISE.copy()
    kspace[4] += 1e4 * scans.random_complex(*SHAPE, seed=5)
    noise[4] *= 1e4
    _, image = reconstructed(kspace, noise, r)
    _, expected = reconstructed(*without([4]), r)
    # The hot channel holds noise of SD 1 and no signal: as much as any outside its coil's reach adds.
    assert np.linalg.norm(np.abs(image.image) - np.abs(expected.image)) < 0.03 * np.linalg.norm(expected.image)
    (text,) = image.warnings
    found = re.fullmatch(r"channels \[4\] have (\d+) times the noise of the others, or more: they count for .*", text)
    assert found is not None and 0.5e4 < float(found[1]) < 2e4  # the gains differ by less than two from the median


def test_spikes_in_the_noise_of_a_channel_make_it_hot() -> None:
    noise = NOISE.copy()
    noise[6, ::1000] += 1e5
    _, image = reconstructed(KSPACE, noise, 1)
    assert any(text.startswith("channels [6] have") for text in image.warnings)


def test_channels_of_usual_gains_are_neither() -> None:
    assert reconstructed(KSPACE, NOISE, 2)[1].warnings == ()


def test_a_channel_that_is_dead_in_the_data_alone_has_its_own_warning() -> None:
    kspace = KSPACE.copy()
    kspace[3] = 0
    _, image = reconstructed(kspace, NOISE, 1)
    assert image.warnings == ("channels [3] are zero from acquisition 0 on",)


def test_without_a_live_channel_there_is_no_image() -> None:
    with pytest.raises(ScanError, match="noise scan is zero in all 8 channels; expected noise"):
        reconstructed(KSPACE, 0 * NOISE, 1)


def test_a_kept_measurement_knows_its_dead_channels() -> None:
    noise = NOISE.copy()
    noise[3] = 0
    measured = measured_noise(lines(KSPACE, noise, 1)[:1], scans.header(SHAPE))
    store.keep("with a dead channel", measured)
    found = store.find("with a dead channel")
    assert found is not None and np.array_equal(found.covariance, measured.covariance)


@pytest.mark.parametrize("r", [1, 2])
@pytest.mark.parametrize("kind", ["fails during the scan", "was detuned during the noise measurement"])
def test_channels_whose_noise_is_not_what_was_measured_are_told_of(kind: str, r: int) -> None:
    kspace, noise = KSPACE.copy(), NOISE.copy()
    if kind == "fails during the scan":
        kspace[[2, 5]] = 100 * scans.random_complex(2, *SHAPE, seed=4)
    else:
        noise[[2, 5]] *= 0.0025
    scan, image = reconstructed(kspace, noise, r)
    (text,) = scan.warnings
    assert "channels [2, 5] hold more than 30 times the noise that was measured of them" in text
    assert text in image.warnings


@pytest.mark.parametrize("snr", [0, 1, 50, 5000])
def test_signal_is_no_noise_that_was_not_measured(snr: float) -> None:
    """However bright, and where one element alone sees the object."""
    rng = np.random.default_rng(5)
    white = rng.standard_normal((2, *KSPACE.shape))
    object_alone = noisy_kspace(N_CHANNELS, SHAPE, snr=1e6).numpy() * (snr / 1e6)
    for seen in (slice(None), slice(3, 4)):
        kspace = (white[0] + 1j * white[1]).astype(np.complex64)
        kspace[seen] += object_alone[seen]
        scan, image = reconstructed(kspace, NOISE, 1)
        assert scan.warnings == () and not any("noise that was measured" in text for text in image.warnings)
