"""EPI through noise_adjust, epi, accumulate, grappa and coil_combine, against a Cartesian scan of the same object."""

import copy
from dataclasses import replace

import ismrmrd
import numpy as np
import pytest
from ismrmrd import xsd

from snrstream.errors import ScanError
from snrstream.gadgets import accumulate, coil_combine, epi, grappa, noise_adjust
from snrstream.gadgets.gadget import Scan, run
from snrstream.items import ReconImage

from .. import scans
from ..epi_scans import CALIBRATION, NAVIGATOR, REVERSE, Epi, difference, noisy

MOST = 0.01  # of the brightest pixel, ghost and all
FLAT, RAMPS = Epi(ramp_us=0.0), Epi()
ALL = list(range(64))


def reconstructed(header, acquisitions, noise=False) -> tuple[list[ReconImage], Scan]:
    """noise: whether they begin with a noise measurement."""
    scan = Scan(header)
    items = acquisitions
    for gadget in ((noise_adjust,) if noise else ()) + (epi, accumulate, grappa, coil_combine):
        items = run(gadget, items, scan)
    return list(items), scan


def image_of(sequence: Epi, acquisitions, trajectory="epi", **header) -> np.ndarray:
    (recon,), _ = reconstructed(sequence.header(trajectory, **header), acquisitions)
    return recon.image[0]


def cartesian(sequence: Epi, lines=ALL, first_echo=3, per_line=1, **idx) -> list[ismrmrd.Acquisition]:
    """The same object, read forward, sample by sample; the phase drifts from line to line as it does in a train."""
    ideal = sequence.ideal()
    middle = ideal.n // 2
    return [
        ideal.acquisition(ideal.line(y - middle, False, first_echo + number * per_line, **idx), y, False, **idx)
        for number, y in enumerate(lines)
    ]


def ideal_image(sequence: Epi, **idx) -> np.ndarray:
    (recon,), _ = reconstructed(sequence.ideal().header("cartesian"), cartesian(sequence, range(sequence.n), **idx))
    return recon.image[0]


@pytest.mark.parametrize(
    "sequence",
    [
        FLAT,
        RAMPS,
        replace(RAMPS, late=2.0),
        replace(RAMPS, late_as_shift=True),
        replace(RAMPS, fov_x2=True),
        replace(FLAT, fov_x2=True),
        replace(RAMPS, n_samples=96),
        replace(RAMPS, n=63, n_samples=140),
        replace(RAMPS, ramp_us=160.0, phase=3.5, drift=0.3),
        replace(RAMPS, n_channels=1),
    ],
    ids=str,
)
@pytest.mark.parametrize("first_reversed", [False, True])
def test_an_image_is_that_of_a_cartesian_scan(sequence: Epi, first_reversed: bool) -> None:
    """In place, shape and phase, whichever way the first line is read."""
    lines = list(sequence.train(list(range(sequence.n)), first_reversed=first_reversed))
    image = image_of(sequence, lines)
    turned = np.exp(1j * np.pi * round((sequence.phase - 0.1) / (2 * np.pi)))  # half of 2 pi that nothing tells
    assert difference(image * turned, ideal_image(sequence)) < MOST


def test_without_the_gadget_the_same_lines_have_a_ghost() -> None:
    """So the tests above can fail."""
    header = FLAT.header("cartesian", described=False)
    header.encoding[0].encodedSpace.matrixSize.x, header.encoding[0].encodedSpace.fieldOfView_mm.x = 128, 400.0
    items = list(FLAT.train(ALL))
    for gadget in (accumulate, grappa, coil_combine):
        items = run(gadget, items, header)
    (recon,) = items
    assert difference(recon.image[0], ideal_image(FLAT)) > 0.2


@pytest.mark.parametrize(
    ("navigators", "behind"), [("-+-", False), ("+-", False), ("+-+-+-", False), ("+-+", True), ("+-+-", True)]
)
def test_navigators_before_and_behind(navigators: str, behind: bool) -> None:
    sequence = replace(RAMPS, drift=0.0 if navigators == "+-" else 0.05)  # a pair does not tell drift
    out = list(sequence.train(ALL, navigators, behind=behind))
    expected = ideal_image(sequence, first_echo=0 if behind else len(navigators))
    assert difference(image_of(sequence, out), expected) < MOST


def test_each_slice_and_repetition_goes_by_navigators_of_its_own() -> None:
    """Faults that change from train to train, as eddy currents of diffusion weighting do; slices interleaved."""
    header, acquisitions, expected = RAMPS.header(), [], []
    for repetition in range(2):
        for number in (1, 0, 2):
            fault = replace(RAMPS, late=0.3 * number - 0.5 * repetition, phase=0.2 + 0.4 * number - 0.6 * repetition)
            acquisitions += fault.train(ALL, slice=number, repetition=repetition)
            expected.append(ideal_image(fault, slice=number))
    images, scan = reconstructed(header, acquisitions)
    assert [(i.head.idx.repetition, i.head.idx.slice) for i in images] == [(r, s) for r in (0, 1) for s in (1, 0, 2)]
    assert max(difference(i.image[0], e) for i, e in zip(images, expected, strict=True)) < MOST
    assert scan.warnings == ()


@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize("navigators", ["+-+", "one"])
def test_shots_each_with_navigators(navigators: str, behind: bool) -> None:
    """Two shots; `one` gives each a single navigator, of either direction in turn."""
    sequence, acquisitions = replace(RAMPS, drift=0.0), []
    for shot in range(2):
        signs = navigators if navigators != "one" else "+-"[shot]
        acquisitions += sequence.train(ALL[shot::2], signs, first_reversed=shot == 1, behind=behind, last=shot == 1)
    assert difference(image_of(sequence, acquisitions), ideal_image(sequence)) < MOST


def calibration(kind: str, sequence: Epi, lines=range(16, 48)) -> list[ismrmrd.Acquisition]:
    """Calibration lines, in one of the ways in which scanners acquire them."""
    lines, flags = list(lines), [CALIBRATION]
    if kind == "gradient echo":
        plain = replace(sequence, ramp_us=0.0, late=0.0, phase=0.0, drift=0.0)
        return [plain.acquisition(plain.line(y - plain.n // 2, False, 0, 0.3), y, False, flags) for y in lines]
    if kind == "one shot":
        return list(sequence.train(lines, flags=flags, last=False, scale=0.3))
    navigators = "" if kind == "two shots without navigators" else "+-+"
    return [
        line for shot in range(2)
        for line in sequence.train(lines[shot::2], navigators, flags=flags, last=False, scale=0.3)
    ]  # fmt: skip


KINDS = ["gradient echo", "one shot", "two shots", "two shots without navigators"]


@pytest.mark.parametrize("fov_x2", [False, True])
@pytest.mark.parametrize("sequence", [FLAT, RAMPS], ids=["flat", "ramps"])
@pytest.mark.parametrize("kind", KINDS)
def test_acceleration(kind: str, sequence: Epi, fov_x2: bool) -> None:
    sequence = replace(sequence, drift=0.0, fov_x2=fov_x2)
    images = []
    for imaged in (sequence, None):
        if imaged is not None:
            out = [*calibration(kind, sequence), *sequence.train(ALL[1::2])]
            images.append(image_of(sequence, out, acceleration=2))
        else:
            ideal = sequence.ideal()
            out = [line for line in cartesian(sequence, ALL[16:48])]
            for line in out:
                line.set_flag(CALIBRATION)
            images.append(image_of(ideal, [*out, *cartesian(sequence, ALL[1::2])], "cartesian", acceleration=2))
    assert difference(*images) < MOST


def test_calibration_by_a_second_encoding() -> None:
    """A gradient echo with half the lines, as siemens_to_ismrmrd writes it with its stylesheet EPI_FLASHREF."""
    sequence = replace(RAMPS, drift=0.0)
    header = sequence.header(acceleration=2)
    other = replace(sequence, fov_x2=True).header("cartesian", described=False).encoding[0]
    other.encodedSpace.matrixSize.y = other.reconSpace.matrixSize.y = 32
    other.encodingLimits.kspace_encoding_step_1 = xsd.limitType(minimum=0, center=16, maximum=31)
    header.encoding.append(other)
    acs = calibration("gradient echo", sequence)
    for line in acs:
        line.idx.kspace_encode_step_1 -= 16
        line.encoding_space_ref = 1
    (recon,), scan = reconstructed(header, [*acs, *sequence.train(ALL[1::2])])
    assert difference(recon.image[0], ideal_image(sequence)) < 2 * MOST and scan.warnings == ()


def test_calibration_lines_within_the_train() -> None:
    """Embedded: the lines between those of the image are flagged for calibration alone."""
    train = sorted({*ALL[1::2], *ALL[20:44]})
    sequence = replace(RAMPS, drift=0.0)
    lines = list(sequence.train(train))
    for line in lines[3:]:
        if line.idx.kspace_encode_step_1 % 2 == 0:
            line.set_flag(CALIBRATION)
        elif line.idx.kspace_encode_step_1 in train[10:-10]:
            line.set_flag(ismrmrd.ACQ_IS_PARALLEL_CALIBRATION_AND_IMAGING)
    assert difference(image_of(sequence, lines, acceleration=2), ideal_image(sequence)) < 2 * MOST


def test_a_volume() -> None:
    """Each partition is a train of its own; matched by navigators, and by the data."""
    sequence, n_z = replace(RAMPS, drift=0.0), 4
    along_z = np.fft.fft(np.array([0.2, 1.0, 0.8, 0.1]))[[2, 3, 0, 1]] / 2
    header = sequence.header()
    for space in (header.encoding[0].encodedSpace, header.encoding[0].reconSpace):
        space.matrixSize.z = n_z
    header.encoding[0].encodingLimits.kspace_encoding_step_2 = xsd.limitType(minimum=0, center=2, maximum=3)
    for navigators in ("+-+", ""):
        lines = []
        for z in range(n_z):
            train = sequence.train(ALL, navigators, last=z == n_z - 1, kspace_encode_step_2=z)
            lines += [ismrmrd.Acquisition(a.getHead(), data=(a.data * along_z[z]).astype(np.complex64)) for a in train]
        (recon,), _ = reconstructed(header, lines)
        assert ghost_share(recon.image[1], ideal_image(sequence)) < MOST


N_REPLICAS = 96
# 2 N_REPLICAS real numbers a pixel, and means over some hundred pixels.
SD_TOLERANCE = 0.02


def in_units(lines, mixing: np.ndarray, rng: np.random.Generator, **idx: int) -> list[ismrmrd.Acquisition]:
    """The lines in raw units, with noise that is correlated between channels. idx: other counters."""
    out = []
    for line in lines:
        head = line.getHead()
        for name, value in idx.items():
            setattr(head.idx, name, value)
        out.append(ismrmrd.Acquisition(head, data=np.ascontiguousarray(mixing @ line.data, np.complex64)))
    return noisy(out, rng, mixing)


@pytest.mark.parametrize(
    ("sequence", "acceleration", "kind"),
    [
        (FLAT, 1, None),
        (RAMPS, 1, None),
        (FLAT, 2, "two shots"),
        (RAMPS, 2, "two shots"),
        (replace(RAMPS, ramp_us=160.0), 2, "gradient echo"),
    ],
    ids=str,
)
def test_the_noise_has_the_sd_of_the_gmap(sequence: Epi, acceleration: int, kind: str | None) -> None:
    """Also where channels are correlated; at R = 2, where all images share their maps, at the edges and in air too."""
    rng = np.random.default_rng(3)
    n, sequence = 32, replace(sequence, n=32, n_samples=64, ramp_us=sequence.ramp_us / 2, n_channels=4)
    mixing = np.linalg.cholesky(np.eye(4) + 0.3).astype(complex) * 7e-3
    measured = sequence.acquisition(np.zeros((4, 20000)), 0, False, [ismrmrd.ACQ_IS_NOISE_MEASUREMENT])
    out = in_units([measured], mixing, rng)
    if kind is not None:
        out += in_units(calibration(kind, sequence, range(6, 26)), mixing, rng)
    train = list(sequence.train(list(range(n))[::acceleration]))
    for repetition in range(N_REPLICAS):
        out += in_units(train, mixing, rng, repetition=repetition)
    images, _ = reconstructed(sequence.header(acceleration=acceleration), out, noise=True)
    stack = np.stack([image.image[0] for image in images])
    mean = stack.mean(axis=0)
    sd = np.sqrt((np.abs(stack - mean) ** 2).sum(axis=0) / (2 * (N_REPLICAS - 1)))
    ratio = sd / images[-1].gmap[0]
    assert ratio[np.abs(mean) > 0.3 * np.abs(mean).max()].mean() == pytest.approx(1, abs=SD_TOLERANCE)
    if acceleration > 1:
        assert ratio.mean() == pytest.approx(1, abs=SD_TOLERANCE)
        assert ratio[:, :2].mean() == pytest.approx(1, abs=2 * SD_TOLERANCE)
        assert ratio[:, -2:].mean() == pytest.approx(1, abs=2 * SD_TOLERANCE)


def test_epi_under_a_header_that_says_cartesian() -> None:
    for sequence in (replace(FLAT, fov_x2=True), replace(RAMPS, fov_x2=True)):
        (recon,), scan = reconstructed(sequence.header("cartesian"), list(sequence.train(ALL)))
        assert difference(recon.image[0], ideal_image(sequence)) < MOST
        assert scan.warnings == recon.warnings != ()
        assert "the header says cartesian, but lines run in both directions" in scan.warnings[0]


@pytest.mark.parametrize("first", ["calibration", "navigators behind", "image"])
def test_the_first_lines_of_either_direction_tell(first: str) -> None:
    """Whatever comes first: two calibration lines, image lines ahead of their navigators, or without any."""
    sequence = replace(RAMPS, fov_x2=True, drift=0.0)
    acceleration = 2 if first == "calibration" else 1
    lines = [
        *(calibration("two shots without navigators", sequence) if acceleration == 2 else ()),
        *sequence.train(ALL[1::2] if acceleration == 2 else ALL, "" if first == "image" else "+-+", behind=True),
    ]
    (recon,), scan = reconstructed(sequence.header("cartesian", acceleration=acceleration), lines)
    assert difference(recon.image[0], ideal_image(sequence)) < 2 * MOST
    assert "header says cartesian" in scan.warnings[0]


def both_ways(n_echoes: int, n_lines: int = 16) -> list[ismrmrd.Acquisition]:
    """A multi-echo gradient echo: every other echo is read in reverse, whole."""
    kspace = scans.random_complex(2, 1, n_lines, 32)
    out = []
    for y in range(n_lines):
        for echo in range(n_echoes):
            (line,) = scans.acquisitions(kspace[..., :: -1 if echo % 2 else 1], [(0, y)], end=False, contrast=echo)
            if echo % 2:
                line.set_flag(REVERSE)
            out.append(line)
    return out


@pytest.mark.parametrize("extra", ["nothing", "calibration", "navigators of a turbo spin echo"])
def test_scans_that_are_no_epi_pass_as_they_are(extra: str) -> None:
    lines = both_ways(3)
    if extra == "calibration":
        ahead = copy.deepcopy(lines[:24])
        for line in ahead:
            line.set_flag(CALIBRATION)
        lines = ahead + lines
    elif extra != "nothing":
        ahead = copy.deepcopy(lines[:9:3])
        for line in ahead:
            line.set_flag(NAVIGATOR)
        lines = ahead + lines
    scan = Scan(scans.header((1, 16, 32)))
    out = list(run(epi, lines, scan))
    assert len(out) == len(lines) and all(a is b for a, b in zip(out, lines, strict=True))
    assert scan.sample_sd is None and scan.warnings == ()


def test_lines_that_wait_leave_where_the_scan_fails() -> None:
    def source():
        yield from RAMPS.train(ALL, "")
        raise ScanError("no more")

    out = []
    with pytest.raises(ScanError, match="no more"):
        out.extend(run(epi, source(), RAMPS.header()))
    assert len(out) == 64


def test_a_line_leaves_as_soon_as_it_can() -> None:
    """The second line of a Cartesian scan lets both go; lines of EPI behind their navigators wait for nothing."""
    taken = []

    def source(lines):
        for line in lines:
            taken.append(line)
            yield line

    n_waited = [len(taken) - n for n, _ in enumerate(run(epi, source(both_ways(1)), scans.header((1, 16, 32))), 1)]
    assert n_waited[:2] == [1, 0] and set(n_waited[1:]) == {0}
    taken.clear()
    n_waited = [len(taken) - n for n, _ in enumerate(run(epi, source(RAMPS.train(ALL)), RAMPS.header()), 1)]
    assert set(n_waited) == {3}  # the navigators


def test_lines_without_navigators_are_matched_by_the_data() -> None:
    for sequence in (FLAT, RAMPS, replace(RAMPS, late=-1.1, phase=-0.9)):
        lines = [line for number in (0, 1) for line in sequence.train(ALL, "", slice=number)]
        images, scan = reconstructed(sequence.header(), noisy(lines, np.random.default_rng(1)))
        for number, recon in enumerate(images):
            assert ghost_share(recon.image[0], ideal_image(sequence, first_echo=0, slice=number)) < MOST
        assert [text for text in scan.warnings if "matched to forward ones by the data" in text] == list(scan.warnings)


def test_accelerated_lines_without_navigators_are_told_of() -> None:
    lines = [*calibration("gradient echo", RAMPS), *RAMPS.train(ALL[1::2], "")]
    (recon,), scan = reconstructed(RAMPS.header(acceleration=2), lines)
    assert "could not be matched; expect a ghost" in scan.warnings[0] and recon.warnings == scan.warnings


@pytest.mark.parametrize("value", [0, np.nan])
def test_navigators_without_signal_count_as_none(value: float) -> None:
    lines = list(RAMPS.train(ALL))
    for number in range(3):
        lines = scans.changed(lines, number, data=lines[number].data * np.float32(value))
    (recon,), scan = reconstructed(RAMPS.header(), lines)
    assert ghost_share(recon.image[0], ideal_image(RAMPS)) < MOST
    assert ["without phase-correction lines" in text for text in scan.warnings] == [True]


@pytest.mark.parametrize("dark", [0, 1, 2])
@pytest.mark.parametrize("value", [0.1, 1.0])
def test_a_navigator_of_noise_alone_moves_no_line(dark: int, value: float) -> None:
    """It cannot be told from a good one by its phase, but does not agree with those of the other direction."""
    sequence = replace(RAMPS, snr=200.0)
    lines = list(sequence.train(ALL))
    lines[dark].data[:] = value * scans.random_complex(*lines[dark].data.shape)
    (recon,), scan = reconstructed(sequence.header(), lines)
    assert difference(recon.image[0], ideal_image(sequence)) < 3 * MOST
    left_out, matched = scan.warnings
    assert "phase-correction lines of slice 0 agree by 0." in left_out and "matched to forward ones" in matched
    assert recon.warnings == scan.warnings


def test_noise_alone_is_no_disagreement() -> None:
    """A dark slice, and one of low SNR."""
    dark = noisy(RAMPS.train(ALL, scale=0.0), np.random.default_rng(0))
    faint = noisy(replace(RAMPS, snr=2.0).train(ALL), np.random.default_rng(1))
    for lines in (dark, faint):
        (recon,), scan = reconstructed(RAMPS.header(), lines)
        assert scan.warnings == recon.warnings == ()


def test_reversed_lines_that_were_turned_before_are_told_of() -> None:
    for is_flagged in (True, False):
        lines = noisy(RAMPS.train(ALL), np.random.default_rng(0))
        for line in lines:
            if line.is_flag_set(REVERSE):
                line.data[:] = line.data[:, ::-1]
                if not is_flagged:
                    line.clear_flag(REVERSE)
        (recon,), _ = reconstructed(RAMPS.header(), lines)
        (text,) = recon.warnings
        assert "expect a ghost at half the field of view" in text
        assert ("turned already" if is_flagged else "no line is flagged as reversed") in text


def test_a_slice_without_navigators_goes_by_those_of_another() -> None:
    lines = [*RAMPS.train(ALL, slice=0), *RAMPS.train(ALL, "", slice=1)]
    images, scan = reconstructed(RAMPS.header(), lines)
    assert difference(images[1].image[0], ideal_image(RAMPS, slice=1, first_echo=0)) < MOST
    assert "slice 1 has no phase-correction lines" in scan.warnings[0]


def test_averages_and_partial_fourier() -> None:
    sequence = replace(RAMPS, drift=0.0)
    lines = [line for average in (0, 1) for line in sequence.train(ALL, last=average == 1, average=average)]
    (recon,), _ = reconstructed(sequence.header(n_averages=2), lines)
    assert difference(recon.image[0], ideal_image(sequence)) < MOST
    fewer = ALL[16:]
    ideal = cartesian(sequence, fewer)
    (expected,), _ = reconstructed(sequence.ideal().header("cartesian"), ideal)
    assert difference(image_of(sequence, list(sequence.train(fewer))), expected.image[0]) < MOST


def test_what_cannot_be_reconstructed_is_one_error() -> None:
    lines = list(RAMPS.train(ALL))
    with pytest.raises(ScanError, match="'epi' and its readouts came as acquired; expected the gadget epi before"):
        list(run(accumulate, lines, replace(RAMPS, n_samples=64).header()))
    wrong = lines[1].data[:3]
    with pytest.raises(ScanError, match="phase-correction lines of one slice differ in channels"):
        reconstructed(RAMPS.header(), scans.changed(lines, 1, data=wrong, active_channels=3))
    with pytest.raises(ScanError, match="of which 100 before and 28 after are to be discarded"):
        reconstructed(RAMPS.header(), scans.changed(lines, 9, discard_pre=100, discard_post=28))
    with pytest.raises(ScanError, match="NaN"):
        reconstructed(RAMPS.header(), scans.changed(lines, 9, data=lines[9].data * np.float32("nan")))


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"rampUpTime": 10**9}, "expected times that a readout has"),
        ({"flatTopTime": 1}, "128 samples take 460.8 us, the header's readout gradient 201 us"),
        (None, "the header describes no readout gradient"),
    ],
)
def test_a_header_that_describes_no_readout(values: dict | None, told: str) -> None:
    header = RAMPS.header(described=values is not None)
    if values is not None:
        for parameter in header.encoding[0].trajectoryDescription.userParameterLong:
            parameter.value = values.get(parameter.name, parameter.value)
    (recon,), scan = reconstructed(header, list(RAMPS.train(ALL)))
    assert told in scan.warnings[0] and "were taken as sampled evenly" in scan.warnings[0]
    assert np.isfinite(recon.image).all()


def ghost_share(image: np.ndarray, ideal: np.ndarray) -> float:
    """Of the object's signal, what is found half the field of view away, where there is no object."""
    half = np.roll(ideal, len(ideal) // 2, axis=0)
    body = np.abs(ideal) > 0.1 * np.abs(ideal).max()
    place = (np.abs(half) > 0.1 * np.abs(ideal).max()) & (np.abs(ideal) < 1e-2 * np.abs(ideal).max())
    share = np.vdot(half[place], image[place]) / np.vdot(half[place], half[place])
    return float(np.abs(share) / np.abs(image[body]).mean() * np.abs(ideal[body]).mean())
