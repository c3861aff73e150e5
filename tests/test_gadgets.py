"""The gadgets one by one, on the shipped brain scan and on what is wrong with others."""

import copy
import dataclasses
import logging

import ismrmrd
import numpy as np
import pytest
import torch

from snrstream import accumulate, coil_combine, grappa, image_finish, noise_adjust
from snrstream.errors import ScanError
from snrstream.items import Bucket, ReconImage, ScanWarning
from snrstream.recon.combine import Grid


@pytest.fixture
def brain(read_scan):
    return read_scan("brain_16ch_r3")


def adjusted(header, acquisitions, **properties):
    return list(noise_adjust.process(acquisitions, header, noise_adjust.Parameters(**properties)))


def accumulated(header, acquisitions) -> list[Bucket]:
    """Of the image lines alone, unwhitened."""
    return list(accumulate.process(image_lines(acquisitions), header, accumulate.Parameters()))


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
        warning, *out = adjusted(header, lines, missing_noise="unwhitened")
    assert "NOT IN SNR UNITS" in caplog.text
    assert isinstance(warning, ScanWarning)
    assert all(a is b for a, b in zip(out, lines, strict=True))
    (bucket,) = list(accumulate.process([warning, *out], header, accumulate.Parameters()))
    assert bucket.warnings == (warning.text,)


def test_few_noise_samples_give_a_warning_with_the_bias(brain) -> None:
    header, acquisitions = brain
    noise, *lines = acquisitions
    short = ismrmrd.Acquisition(noise.getHead(), data=noise.data[:, :100])
    warning = adjusted(header, [short, *lines])[0]
    assert "16 channels comes from 100 samples" in warning.text
    assert "9.1 % too high" in warning.text  # sqrt(100 / 84)


def test_noise_of_another_coil(brain) -> None:
    header, acquisitions = brain
    noise, *lines = acquisitions
    head = noise.getHead()
    head.active_channels = 8
    with pytest.raises(ScanError, match="has 16 channels; the noise measurement has 8"):
        adjusted(header, [ismrmrd.Acquisition(head, data=noise.data[:8]), *lines])


def test_bucket_of_the_brain(brain) -> None:
    header, acquisitions = brain
    (bucket,) = accumulated(header, acquisitions)
    assert bucket.kspace.shape == (16, 1, 128, 128)
    assert bucket.calibration.lines.shape == (16, 1, 24, 128) and bucket.calibration.start == 52
    assert bucket.grid == Grid((1, 128))  # R = 3 does not divide 128: all lines are stored
    assert bucket.sampled.nonzero()[:, 1].tolist() == list(range(1, 128, 3))
    assert bucket.voxel_mm == (2.0, 2.0, 3.0) and bucket.warnings == ()
    assert bucket.head.idx.kspace_encode_step_1 == 64
    acs = {a.idx.kspace_encode_step_1: a.data for a in image_lines(acquisitions)}
    assert np.allclose(bucket.calibration.lines[:, 0, 3], acs[55], atol=1e-6 * np.abs(acs[55]).max())
    assert torch.count_nonzero(bucket.kspace[:, 0, 55]) > 0 and torch.count_nonzero(bucket.kspace[:, 0, 54]) == 0


def test_navigators_and_other_lines_are_left_out(brain) -> None:
    header, acquisitions = brain
    extra = copy.deepcopy(acquisitions[5])
    extra.set_flag(ismrmrd.ACQ_IS_NAVIGATION_DATA)
    (with_extra,), (without,) = accumulated(header, [extra, *acquisitions]), accumulated(header, acquisitions)
    assert torch.equal(with_extra.kspace, without.kspace)


def test_each_repetition_is_an_image_of_its_own(brain) -> None:
    header, acquisitions = brain
    second = copy.deepcopy(image_lines(acquisitions))
    for acquisition in second:
        acquisition.idx.repetition = 1
    buckets = accumulated(header, [*acquisitions, *second])
    assert [b.head.idx.repetition for b in buckets] == [0, 1]
    assert torch.equal(buckets[0].kspace, buckets[1].kspace)


def changed(acquisitions, number: int, data: np.ndarray | None = None, **fields):
    out = list(acquisitions)
    head = out[number].getHead()
    for name, value in fields.items():
        setattr(head, name, value)
    out[number] = ismrmrd.Acquisition(head, data=out[number].data if data is None else data)
    return out


def test_lines_that_do_not_fit(brain) -> None:
    header, acquisitions = brain
    with pytest.raises(ScanError, match="has 100 samples around sample 64; expected 128 around 64"):
        accumulated(header, changed(acquisitions, 9, data=acquisitions[9].data[:, :100], number_of_samples=100))
    with pytest.raises(ScanError, match="read in reverse"):
        accumulated(header, changed(acquisitions, 9, flags=1 << (ismrmrd.ACQ_IS_REVERSE - 1)))
    with pytest.raises(ScanError, match="acquired twice"):
        accumulated(header, [*acquisitions[:9], acquisitions[8], *acquisitions[9:]])
    with pytest.raises(ScanError, match="has 15 channels; the scan began with 16"):
        accumulated(header, changed(acquisitions, 9, data=acquisitions[9].data[:15], active_channels=15))
    with pytest.raises(ScanError, match="NaN"):
        accumulated(header, changed(acquisitions, 9, data=acquisitions[9].data * np.float32("nan")))
    outside = copy.deepcopy(acquisitions)
    outside[9].idx.kspace_encode_step_1 = 128
    with pytest.raises(ScanError, match="line 128 lies outside k-space of 128 lines"):
        accumulated(header, outside)


@pytest.mark.parametrize(
    ("field", "value", "match"),
    [("discard_pre", 5, "discard_pre 5"), ("encoding_space_ref", 1, "encoding_space_ref 1")],
)
def test_fields_that_are_not_understood_yet(brain, field, value, match) -> None:
    header, acquisitions = brain
    with pytest.raises(ScanError, match=match):
        accumulated(header, changed(acquisitions, 9, **{field: value}))
    partition = copy.deepcopy(acquisitions)
    partition[9].idx.kspace_encode_step_2 = 1
    with pytest.raises(ScanError, match="kspace_encode_step_2 1; expected 0"):
        accumulated(header, partition)


def test_lines_off_the_grid(brain) -> None:
    """Calibration lines that are flagged as image lines too are no image lines between the others."""
    header, acquisitions = brain
    (expected,) = accumulated(header, acquisitions)
    both = copy.deepcopy(acquisitions)
    for acquisition in both:
        if acquisition.is_flag_set(ismrmrd.ACQ_IS_PARALLEL_CALIBRATION):
            acquisition.clear_flag(ismrmrd.ACQ_IS_PARALLEL_CALIBRATION)
            acquisition.set_flag(ismrmrd.ACQ_IS_PARALLEL_CALIBRATION_AND_IMAGING)
    (bucket,) = accumulated(header, both)
    assert torch.equal(bucket.kspace, expected.kspace)
    unflagged = copy.deepcopy(acquisitions)
    lost = next(a for a in unflagged if a.is_flag_set(ismrmrd.ACQ_IS_PARALLEL_CALIBRATION))
    lost.clear_all_flags()
    with pytest.raises(ScanError, match=f"line {lost.idx.kspace_encode_step_1} lies between the image lines at R=3"):
        accumulated(header, unflagged)


def test_data_that_nobody_whitened(brain) -> None:
    header, acquisitions = brain
    with pytest.raises(ScanError, match="not whitened; expected noise_adjust before"):
        list(accumulate.process(acquisitions, header, accumulate.Parameters()))


@pytest.mark.parametrize("dwell", [float("inf"), float("nan"), -1.0])
def test_dwell_times(brain, dwell: float) -> None:
    header, acquisitions = brain
    with pytest.raises(ScanError, match="noise measurement has a dwell time of"):
        adjusted(header, changed(acquisitions, 0, sample_time_us=dwell))
    with pytest.raises(ScanError, match="scan has a dwell time of"):
        adjusted(header, changed(acquisitions, 1, sample_time_us=dwell))
    with pytest.raises(ScanError, match="dwell time of 40 us; the scan began with 20 us"):
        adjusted(header, changed(acquisitions, 9, sample_time_us=40))
    assert "unknown" in adjusted(header, changed(acquisitions, 0, sample_time_us=0))[0].text


def test_a_scan_cut_short_is_an_image_with_a_warning(brain) -> None:
    header, acquisitions = brain
    (bucket,) = accumulated(header, acquisitions[:-4])
    assert bucket.warnings == ("4 of 43 image lines never arrived: 118, 121, 124, 127",)


def test_partial_fourier_is_told(brain) -> None:
    header, acquisitions = brain
    other = copy.deepcopy(header)
    other.encoding[0].encodingLimits.kspace_encoding_step_1.minimum = 40
    (bucket,) = accumulated(other, [a for a in acquisitions if a.idx.kspace_encode_step_1 >= 40])
    assert bucket.warnings == ("partial Fourier along e1, 24 lines before the centre and 63 after it: zero-filled",)


@pytest.mark.parametrize("keep", [0, 1])
def test_nothing_but_noise(brain, keep: int) -> None:
    header, acquisitions = brain
    with pytest.raises(ScanError, match="no image acquisitions"):
        accumulated(header, adjusted(header, acquisitions[:keep]))


def test_what_is_not_supported_yet_is_refused(brain) -> None:
    header, acquisitions = brain
    for change, match in [
        (lambda e: setattr(e.encodedSpace.matrixSize, "z", 8), "expected a 2D scan"),
        (lambda e: setattr(e.reconSpace.matrixSize, "y", 256), "differs from the encoded"),
        (lambda e: setattr(e.reconSpace.fieldOfView_mm, "x", 128.0), "plain oversampling"),
        (lambda e: setattr(e.parallelImaging.accelerationFactor, "kspace_encoding_step_2", 2), "R2=2"),
    ]:
        other = copy.deepcopy(header)
        change(other.encoding[0])
        with pytest.raises(ScanError, match=match):
            accumulated(other, acquisitions)


def test_calibration_missing_or_too_short(brain) -> None:
    header, acquisitions = brain
    flags = (ismrmrd.ACQ_IS_PARALLEL_CALIBRATION, ismrmrd.ACQ_IS_PARALLEL_CALIBRATION_AND_IMAGING)
    parameters = grappa.Parameters()
    bare = [a for a in acquisitions if not any(a.is_flag_set(f) for f in flags)]
    with pytest.raises(ScanError, match=r"no ACS: .* at least 10 consecutive"):
        list(grappa.process(accumulated(header, bare), header, parameters))
    short = [a for a in acquisitions if a in bare or 60 <= a.idx.kspace_encode_step_1 < 68]
    with pytest.raises(ScanError, match="ACS has 8 lines; a kernel of 4 lines at R=3 needs at least 10"):
        list(grappa.process(accumulated(header, short), header, parameters))


def test_coil_combine_wants_the_kernel(brain) -> None:
    header, acquisitions = brain
    with pytest.raises(ScanError, match="without a kernel; expected grappa before it"):
        list(coil_combine.process(accumulated(header, acquisitions), header, coil_combine.Parameters()))


def finished(recon: ReconImage, **properties) -> dict[int, ismrmrd.Image]:
    images = image_finish.process([recon], None, image_finish.Parameters(**properties))
    return {image.image_series_index: image for image in images}


@pytest.fixture
def recon(brain) -> ReconImage:
    rng = np.random.default_rng(0)
    pixels = 50 * (rng.standard_normal((1, 6, 8)) + 1j * rng.standard_normal((1, 6, 8)))
    return ReconImage(
        image=pixels.astype(np.complex64),
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


def test_windows_are_whole_numbers_and_cover_what_matters(recon) -> None:
    images = finished(recon)
    center, width = (int(images[1].meta[key]) for key in ("WindowCenter", "WindowWidth"))
    assert (center - width // 2, width % 2) == (0, 0)
    assert abs(center + width // 2 - np.percentile(images[1].data, 99.5)) <= 2
    center, width = (int(images[20].meta[key]) for key in ("WindowCenter", "WindowWidth"))
    assert center - width // 2 == 100  # g = 1


def test_the_denoised_image_shares_the_window_of_its_original(recon) -> None:
    denoised = dataclasses.replace(recon, image=recon.image * np.float32(0.5), denoised=True)
    images = {i.image_series_index: i for i in image_finish.process([recon, denoised], None, image_finish.Parameters())}
    for key in ("WindowCenter", "WindowWidth"):
        assert images[1].meta[key] == images[2].meta[key]


def test_clipping_is_told(recon, caplog) -> None:
    image = finished(recon, scale=1000.0)[1]
    n_clipped = int(np.count_nonzero(np.rint(np.abs(recon.image) * np.float32(1000)) > 65535))
    assert n_clipped > 0 and image.data.max() == 65535
    assert f"{n_clipped} pixels exceed 65535" in image.meta["SNRSTREAM_warning"][1]
    assert "clipped" in caplog.text
