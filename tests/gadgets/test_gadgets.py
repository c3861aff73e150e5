"""The gadgets one by one, on the shipped brain scan and on what is wrong with others."""

import dataclasses
import logging

import ismrmrd
import numpy as np
import pytest
import torch

from snrstream.errors import ScanError
from snrstream.gadgets import accumulate, coil_combine, grappa, image_finish, noise_adjust
from snrstream.gadgets.gadget import Scan
from snrstream.gadgets.gadget import run as run_gadget
from snrstream.image_kind import ImageKind
from snrstream.items import Bucket, ReconImage
from snrstream.output.image_values import display_window, physical_values, unit_of
from snrstream.recon.spectrum import Spectrum
from tests.scans import NO_HEADER, changed


@pytest.fixture
def brain(read_scan):
    return read_scan("brain_16ch_r3")


def adjusted(header, acquisitions, **properties):
    return list(run_gadget(noise_adjust, acquisitions, header, noise_adjust.Parameters(**properties)))


def warned(header, acquisitions, **properties):
    """The scan with its warnings, and what came of it."""
    scan = Scan(header)
    return scan, list(run_gadget(noise_adjust, acquisitions, scan, noise_adjust.Parameters(**properties)))


def accumulated(header, acquisitions) -> list[Bucket]:
    """Of the image lines alone, unwhitened."""
    return list(run_gadget(accumulate, image_lines(acquisitions), header, accumulate.Parameters()))


def image_lines(acquisitions):
    return [a for a in acquisitions if not a.is_flag_set(ismrmrd.ACQ_IS_NOISE_MEASUREMENT)]


def test_noise_adjust_uses_up_the_noise_and_keeps_the_rest(brain) -> None:
    header, acquisitions = brain
    before = [a.data.copy() for a in acquisitions]
    waveform = ismrmrd.Waveform.from_array(np.zeros((1, 4), np.uint32))
    out = adjusted(header, [*acquisitions, waveform])
    assert out[-1] is waveform
    assert [a.getHead() for a in out[:-1]] == [a.getHead() for a in image_lines(acquisitions)]
    assert all(np.array_equal(a.data, b) for a, b in zip(acquisitions, before, strict=True))


def test_without_noise_measurement(brain, caplog) -> None:
    header, acquisitions = brain
    lines = image_lines(acquisitions)
    with pytest.raises(ScanError, match="no noise measurement"):
        adjusted(header, lines)
    with caplog.at_level(logging.WARNING):
        scan, out = warned(header, lines, missing_noise="unwhitened")
    assert "NOT IN SNR UNITS" in caplog.text
    assert all(a is b for a, b in zip(out, lines, strict=True))
    (bucket,) = list(run_gadget(accumulate, out, scan, accumulate.Parameters()))
    assert len(bucket.warnings) == 1 and bucket.warnings == scan.warnings and not bucket.snr_units


def test_few_noise_samples_give_a_warning_with_the_bias(brain) -> None:
    header, acquisitions = brain
    noise, *lines = acquisitions
    short = ismrmrd.Acquisition(noise.getHead(), data=noise.data[:, :100])
    (warning,) = warned(header, [short, *lines])[0].warnings
    assert "16 channels comes from 100 samples" in warning
    assert "9.1 % too high" in warning  # sqrt(100 / 84)


def test_noise_of_another_coil(brain) -> None:
    header, acquisitions = brain
    noise, *lines = acquisitions
    head = noise.getHead()
    head.active_channels = 8
    with pytest.raises(ScanError, match="has 16 channels; the noise measurement has 8"):
        adjusted(header, [ismrmrd.Acquisition(head, data=noise.data[:8]), *lines])


@pytest.mark.parametrize("dwell", [float("inf"), float("nan"), -1.0])
def test_dwell_times(brain, dwell: float) -> None:
    header, acquisitions = brain
    with pytest.raises(ScanError, match="noise measurement has a dwell time of"):
        adjusted(header, changed(acquisitions, 0, sample_time_us=dwell))
    with pytest.raises(ScanError, match="scan has a dwell time of"):
        adjusted(header, changed(acquisitions, 1, sample_time_us=dwell))
    with pytest.raises(ScanError, match="dwell time of .* us; the scan began with 20 us; expected the same"):
        adjusted(header, changed(acquisitions, 9, sample_time_us=dwell))
    (warning,) = warned(header, changed(acquisitions, 0, sample_time_us=0))[0].warnings
    assert "unknown" in warning


def test_lines_with_a_dwell_time_of_their_own_are_whitened_by_it(brain) -> None:
    """Four times the dwell time is a quarter of the noise power, and so twice the whitened signal."""
    header, acquisitions = brain
    plain, longer = adjusted(header, acquisitions), adjusted(header, changed(acquisitions, 9, sample_time_us=80))
    assert np.allclose(longer[8].data, 2 * plain[8].data, rtol=1e-6)
    assert all(np.array_equal(a.data, b.data) for a, b in zip(longer[9:], plain[9:], strict=True))


def test_silent_channels_are_told_once_and_from_where(brain) -> None:
    """Raw data shows them: whitening makes a channel of zeros a mixture of those before it."""
    header, acquisitions = brain
    silent = list(acquisitions)
    for number in range(5, 12):
        data = silent[number].data.copy()
        data[[3, 7]] = 0
        silent = changed(silent, number, data=data)
    scan = Scan(header)
    told = [scan.warnings for _ in run_gadget(noise_adjust, silent, scan, noise_adjust.Parameters())]
    text = f"channels [3, 7] are zero from acquisition {acquisitions[5].scan_counter} on"
    assert told == 4 * [()] + (len(silent) - 5) * [(text,)]


def test_navigators_are_neither_whitened_nor_in_the_way(brain) -> None:
    header, acquisitions = brain
    head = acquisitions[5].getHead()
    head.flags, head.active_channels = 1 << (ismrmrd.ACQ_IS_NAVIGATION_DATA - 1), 3
    navigator = ismrmrd.Acquisition(head, data=acquisitions[5].data[:3])
    first, *others = adjusted(header, [navigator, *acquisitions])
    assert first is navigator and len(others) == len(acquisitions) - 1


def test_fewer_channels_than_the_acceleration(brain) -> None:
    header, acquisitions = brain
    few = [ismrmrd.Acquisition(a.getHead(), data=a.data[:2]) for a in image_lines(acquisitions)]
    with pytest.raises(ScanError, match="data has 2 channels; expected at least 3, the net acceleration"):
        list(run_gadget(grappa, accumulated(header, few), header, grappa.Parameters()))


def test_calibration_missing_or_too_short(brain) -> None:
    header, acquisitions = brain
    flags = (ismrmrd.ACQ_IS_PARALLEL_CALIBRATION, ismrmrd.ACQ_IS_PARALLEL_CALIBRATION_AND_IMAGING)
    parameters = grappa.Parameters()
    bare = [a for a in acquisitions if not any(a.is_flag_set(f) for f in flags)]
    with pytest.raises(ScanError, match=r"no ACS: no line of slice 0 has .* at least 10 consecutive"):
        list(run_gadget(grappa, accumulated(header, bare), header, parameters))
    short = [a for a in acquisitions if a in bare or 60 <= a.idx.kspace_encode_step_1 < 68]
    with pytest.raises(ScanError, match="ACS has 8 lines; a kernel of 4 lines at R=3 needs at least 10"):
        list(run_gadget(grappa, accumulated(header, short), header, parameters))


def test_coil_combine_wants_the_kernel(brain) -> None:
    header, acquisitions = brain
    with pytest.raises(ScanError, match="without a kernel; expected grappa before it"):
        list(run_gadget(coil_combine, accumulated(header, acquisitions), header, coil_combine.Parameters()))


def finished(recon: ReconImage, **properties) -> dict[int, ismrmrd.Image]:
    images = run_gadget(image_finish, [recon], NO_HEADER, image_finish.Parameters(**properties))
    return {image.image_series_index: image for image in images}


@pytest.fixture
def recon(brain) -> ReconImage:
    rng = np.random.default_rng(0)
    pixels = 50 * (rng.standard_normal((1, 6, 8)) + 1j * rng.standard_normal((1, 6, 8)))
    return ReconImage(
        image=pixels.astype(np.complex64),
        spectrum=Spectrum.white((1, 6, 8)),
        gmap=(1 + rng.random((1, 6, 8))).astype(np.float32),
        voxel_mm=(2.0, 1.5, 3.0),
        head=brain[1][30].getHead(),
        warnings=("mind the \u2026gap",),
    )


def test_image_finish_complex(recon) -> None:
    images = finished(recon, output="complex", snr_map=True)
    assert np.array_equal(images[1].data[0], recon.image) and images[1].image_type == ismrmrd.IMTYPE_COMPLEX
    assert np.array_equal(images[20].data[0], recon.gmap)
    assert np.allclose(images[300].data[0], np.abs(recon.image) / recon.gmap, rtol=1e-6)
    assert {image.meta["GADGETRON_ScaleRatio"] for image in images.values()} == {"1"}


def test_the_snr_map_is_0_where_the_g_map_is(recon) -> None:
    """Not infinite, which no DICOM file takes."""
    gmap = recon.gmap.copy()
    gmap[:, :2] = 0
    snr = finished(dataclasses.replace(recon, gmap=gmap), output="complex", snr_map=True)[300].data[0]
    assert np.all(snr[:, :2] == 0) and np.abs(recon.image[:, :2]).min() > 0
    assert np.allclose(snr[:, 2:], np.abs(recon.image[:, 2:]) / gmap[:, 2:], rtol=1e-6)


def test_image_finish_magnitude(recon) -> None:
    images = finished(recon, scale=20.0)
    assert images[1].data.dtype == images[20].data.dtype == np.uint16
    assert np.max(np.abs(images[1].data[0] / 20 - np.abs(recon.image))) <= 0.5 / 20 + 1e-4
    assert np.max(np.abs(images[20].data[0] / 100 - recon.gmap)) <= 0.005 + 1e-6
    assert images[1].meta["GADGETRON_ScaleRatio"] == "20"
    assert tuple(images[1].field_of_view) == (16.0, 9.0, 3.0)
    assert tuple(images[1].matrix_size) == (8, 6, 1) and images[1].image_index == 1
    assert int(images[1].meta["WindowWidth"]) > 0
    assert images[1].meta["SNRSTREAM_warning"] == ["mind the ?gap"]
    assert all(str(value).isascii() for value in images[1].meta.values())


def test_image_finish_sends_parts_of_the_complex_image(recon) -> None:
    denoised = dataclasses.replace(recon, image=recon.image * np.complex64(0.5j), kind=ImageKind.DENOISED)
    residual = dataclasses.replace(recon, kind=ImageKind.RESIDUAL)
    parameters = image_finish.Parameters(output="phase real magnitude imaginary", snr_map=True)
    items = [recon, denoised, residual]
    images = {i.image_series_index: i for i in run_gadget(image_finish, items, NO_HEADER, parameters)}
    assert sorted(images) == [1, 2, 3, 20, 300, 401, 402, 501, 502, 601, 602]
    assert {image.data.dtype for image in images.values()} == {np.dtype(np.uint16)}
    types = {1: ismrmrd.IMTYPE_MAGNITUDE, 401: ismrmrd.IMTYPE_REAL, 501: ismrmrd.IMTYPE_IMAG, 601: ismrmrd.IMTYPE_PHASE}
    for series, image in images.items():
        assert image.image_type == types[series // 100 * 100 + 1 if series > 400 else 1] and image.image_index == 1
    for values, kind in ((recon.image, 1), (denoised.image, 2)):
        real, imaginary = (physical_values(images[part + kind])[0] for part in (400, 500))
        assert np.abs(real - values.real).max() <= 0.0501 and np.abs(imaginary - values.imag).max() <= 0.0501
        turned = physical_values(images[600 + kind])[0] - np.angle(values)
        assert np.abs(turned).max() <= np.pi / 2048
        assert display_window(images[600 + kind]) == pytest.approx((0, 2 * np.pi))
        assert unit_of(images[600 + kind]) == "rad" and unit_of(images[400 + kind]) == "SNR"
    for series in (401, 502):
        center, width = display_window(images[series])
        assert center == 0 and width / 2 == pytest.approx(np.percentile(np.abs(recon.image), 99.5), abs=0.2)
    assert images[602].meta["SeriesDescriptionAdditional"] == "_denoised phase"
    assert images[602].meta["ImageComments"] == "snrstream denoised phase, x651.899 + 2048"


def test_image_finish_sends_a_part_alone(recon) -> None:
    images = finished(recon, output="phase", gmap=False)
    assert sorted(images) == [601]


@pytest.mark.parametrize("output", ["", "magnitude,phase", "complex phase", "amplitude", "phase phases"])
def test_image_finish_refuses_other_outputs(output: str) -> None:
    with pytest.raises(ValueError, match="expected complex, or some of magnitude, real, imaginary, phase"):
        image_finish.Parameters(output=output)


def test_the_noise_s_correlation_is_told_where_it_is_not_white(recon) -> None:
    assert "SNRSTREAM_noise_correlation" not in finished(recon)[1].meta
    lines = torch.tensor([[0.0, 1.0, 1.0, 1.0, 1.0, 1.0]])
    cut = dataclasses.replace(recon, spectrum=Spectrum.of(lines, torch.ones(8)))
    # Five of six lines, k = -2 to 2: (1 + 2 cos(60) + 2 cos(120)) / 5
    assert finished(cut)[1].meta["SNRSTREAM_noise_correlation"] == "ro 0.00, e1 0.20, e2 0.00"


def test_windows_are_whole_numbers_and_cover_what_matters(recon) -> None:
    images = finished(recon)
    center, width = (int(images[1].meta[key]) for key in ("WindowCenter", "WindowWidth"))
    assert (center - width // 2, width % 2) == (0, 0)
    assert abs(center + width // 2 - np.percentile(images[1].data, 99.5)) <= 2
    center, width = (int(images[20].meta[key]) for key in ("WindowCenter", "WindowWidth"))
    assert center - width // 2 == 100  # g = 1


@pytest.mark.parametrize("size", [1e-9, 1.0, 1e6])
def test_windows_of_float_images_cover_what_matters_whatever_its_size(recon, size: float) -> None:
    """Raw units may be of any size, and a g-map of 1.0 to 1.3 lies between two whole numbers."""
    gmap = np.linspace(0.1, 1.3, recon.gmap.size, dtype=np.float32).reshape(recon.gmap.shape)
    units = dataclasses.replace(recon, image=recon.image * np.float32(size), gmap=gmap, snr_units=size == 1)
    images = finished(units, output="complex", snr_map=True)
    for series, low, high in (
        (1, 0.0, float(np.percentile(np.abs(units.image), 99.5))),
        (20, 1.0, float(np.percentile(gmap, 99.5))),
    ):
        center, width = display_window(images[series])
        # Six digits are kept, of a percentile among few pixels.
        assert center - width / 2 == pytest.approx(low, abs=1e-5 * high)
        assert center + width / 2 == pytest.approx(high, rel=1e-5)
    assert display_window(images[300]) == display_window(images[1])


@pytest.mark.parametrize("output", ["complex", "magnitude"])
def test_a_g_map_of_ones_is_not_black(recon, output: str) -> None:
    """As of a scan that was not accelerated: a window from 1 would show object and background alike."""
    image = finished(dataclasses.replace(recon, gmap=np.ones_like(recon.gmap)), output=output)[20]
    center, width = display_window(image)
    assert center - width / 2 == 0 and 1 <= center + width / 2 <= 1.02


@pytest.mark.parametrize("output", ["complex", "magnitude"])
def test_an_image_of_zeros_has_a_window(recon, output: str) -> None:
    images = finished(dataclasses.replace(recon, image=np.zeros_like(recon.image)), output=output)
    assert display_window(images[1])[1] > 0


@pytest.mark.parametrize("output", ["complex", "magnitude"])
@pytest.mark.parametrize("scale", [1.0, 0.63095917])
def test_the_window_of_an_image_begins_at_zero(recon, output, scale) -> None:
    center, width = display_window(
        finished(dataclasses.replace(recon, image=recon.image * np.float32(scale)), output=output)[1]
    )
    assert abs(center - width / 2) < 1e-7 * width


def test_the_window_of_a_large_image_is_found_from_all_of_it(recon) -> None:
    """128 x 128 x 96 pixels, bright in the middle of each row: a sample of every 384th pixel would be of one column."""
    image = np.zeros((96, 128, 128), np.complex64)
    image[:, 30:100, 30:100] = 40
    large = dataclasses.replace(recon, image=image, gmap=np.ones(image.shape, np.float32))
    assert int(finished(large)[1].meta["WindowWidth"]) == 400


def test_the_denoised_image_shares_the_window_of_its_original(recon) -> None:
    denoised = dataclasses.replace(recon, image=recon.image * np.float32(0.5), kind=ImageKind.DENOISED)
    images = {
        i.image_series_index: i
        for i in run_gadget(image_finish, [recon, denoised], NO_HEADER, image_finish.Parameters())
    }
    for key in ("WindowCenter", "WindowWidth"):
        assert images[1].meta[key] == images[2].meta[key]


def test_clipping_is_told(recon, caplog) -> None:
    image = finished(recon, scale=1000.0)[1]
    n_clipped = int(np.count_nonzero(np.rint(np.abs(recon.image) * np.float32(1000)) > 65535))
    assert n_clipped > 0 and image.data.max() == 65535
    assert f"{n_clipped} pixels exceed 65535" in image.meta["SNRSTREAM_warning"][1]
    assert "clipped" in caplog.text


@pytest.mark.parametrize("size", [3e-7, 2e4, 0])
def test_images_in_raw_units_are_neither_black_nor_clipped(recon, size: float) -> None:
    """By a scale that the first of them sets; nothing calls them SNR."""
    peak = np.abs(recon.image).max()
    raw = dataclasses.replace(recon, image=recon.image * np.float32(size / peak), snr_units=False)
    twice = dataclasses.replace(raw, image=2 * raw.image)
    empty = dataclasses.replace(raw, image=np.zeros_like(raw.image))
    *_, first, _, second, _ = run_gadget(image_finish, [empty, raw, twice], NO_HEADER, image_finish.Parameters())
    assert first.meta["GADGETRON_ScaleRatio"] == second.meta["GADGETRON_ScaleRatio"]
    assert first.meta["SNRSTREAM_snr_units"] == "false" and unit_of(first) == "a.u."
    if size:
        assert 1000 <= first.data.max() < 10_000 and second.data.max() == pytest.approx(2 * first.data.max(), abs=1)
        assert first.data.max() / float(first.meta["GADGETRON_ScaleRatio"]) == pytest.approx(size, rel=1e-3)
