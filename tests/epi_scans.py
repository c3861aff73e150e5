"""Scans of an echo-planar sequence: exact Fourier sums of an object, at the places where its gradients lead."""

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import ismrmrd
import numpy as np
from ismrmrd import xsd

from snrstream.wire.header import parse_header
from snrtrain.benchmarks.header import cartesian_header

NAVIGATOR, REVERSE = ismrmrd.ACQ_IS_PHASECORR_DATA, ismrmrd.ACQ_IS_REVERSE
CALIBRATION, LAST = ismrmrd.ACQ_IS_PARALLEL_CALIBRATION, ismrmrd.ACQ_LAST_IN_SLICE
DWELL_US = 3.6


@dataclass(frozen=True)
class Epi:
    """A sequence and its faults.

    n: pixels along x and y. n_samples: of a readout. ramp_us: of either ramp; 0 samples evenly. late: dwell times by
    which the gradient comes late. phase: of forward over reversed readouts, in rad. drift: of the phase, in rad from
    echo to echo. late_as_shift: k-space is shifted as a whole instead. fov_x2: the header counts readout oversampling.
    """

    n: int = 64
    n_samples: int = 128
    ramp_us: float = 100.0
    late: float = 0.7
    phase: float = 0.6
    drift: float = 0.05
    late_as_shift: bool = False
    fov_x2: bool = False
    n_channels: int = 6
    snr: float = 40.0

    @property
    def flat_us(self) -> float:
        """So that the samples begin at a third of the ramp."""
        return self.n_samples * DWELL_US - 4 / 3 * self.ramp_us

    @functools.cache  # noqa: B019 - a handful of sequences, each for all of a test's lines
    def k(self, is_reversed: bool) -> np.ndarray:
        """(n_samples,) in cycles per field of view, by adding up the gradient in steps of 1/200 of a dwell time."""
        up, total = self.ramp_us, self.flat_us + 2 * self.ramp_us
        fine = DWELL_US / 200
        t = np.arange(0, total, fine) + fine / 2
        gradient = np.minimum(1, np.minimum(t, total - t) / up) if up else np.ones_like(t)
        area = np.concatenate([[0], np.cumsum(gradient) * fine])
        edges = np.arange(len(area)) * fine
        start = (total - self.n_samples * DWELL_US) / 2
        at = lambda times: np.interp(times, edges, area)  # noqa: E731
        full = at(start + self.n_samples * DWELL_US) - at(start)
        late = 0 if self.late_as_shift or not up else self.late * DWELL_US
        k = (at(start + DWELL_US * (np.arange(self.n_samples) + 0.5) - late) - area[-1] / 2) * self.n / full
        if not up:  # echoes of forward readouts in the middle sample, as of Cartesian ones
            k = (np.arange(self.n_samples) - self.n_samples // 2) * self.n / self.n_samples
            k = k[::-1] if is_reversed else k
        else:
            k = -k if is_reversed else k
        if self.late_as_shift or not up:
            shift = self.late * self.n / self.n_samples
            k = k + shift if is_reversed else k - shift
        return k

    @functools.cache  # noqa: B019
    def object_and_coils(self, slice_number: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """`(y, x)` complex, and `(channel, y, x)`."""
        y, x = (np.mgrid[: self.n, : self.n] - self.n // 2) / self.n
        body = _blob((x / 0.34) ** 2 + (y / 0.3) ** 2, 30)
        spot = _blob(((x - 0.15) / 0.07) ** 2 + ((y + 0.1 - 0.05 * slice_number) / 0.07) ** 2, 10)
        image = (body + spot) * np.exp(1j * (0.8 * x - 1.1 * y + 0.3))
        angle = 2 * np.pi * np.arange(self.n_channels)[:, None, None] / self.n_channels
        distance = (x - 0.6 * np.cos(angle)) ** 2 + (y - 0.6 * np.sin(angle)) ** 2
        coils = np.exp(-distance / 0.5 + 1j * (angle + 2 * x * np.cos(angle)))
        return image, coils / np.linalg.norm(coils, axis=0).mean()

    def line(self, ky: float | None, is_reversed: bool, echo: float, scale: float = 1.0, **idx: int) -> np.ndarray:
        """One readout `(channel, n_samples)` without noise; ky None: without phase encoding."""
        samples = self._samples(ky, is_reversed, idx.get("slice", 0)) * scale
        turn = (-0.5 if is_reversed else 0.5) * self.phase + self.drift * echo
        return samples * np.exp(1j * turn)

    @functools.cache  # noqa: B019
    def _samples(self, ky: float | None, is_reversed: bool, slice_number: int) -> np.ndarray:
        image, coils = self.object_and_coils(slice_number)
        along_y = np.exp(-2j * np.pi * (ky or 0) * (np.arange(self.n) - self.n // 2) / self.n)
        rows = np.einsum("cyx,y->cx", image * coils, along_y) * self.snr
        pixels = np.arange(self.n) - self.n // 2
        samples = rows @ np.exp(-2j * np.pi / self.n * np.outer(pixels, self.k(is_reversed)))
        # Noise of SD 1 in each sample; as a full Cartesian readout of as many samples has it.
        return np.asarray(samples / math.sqrt(self.n * self.n_samples))

    def header(self, trajectory="epi", acceleration: int = 1, described: bool = True, **others) -> xsd.ismrmrdHeader:
        """As siemens_to_ismrmrd writes it."""
        n, twice = self.n, 2 if self.fov_x2 else 1
        fov = 200.0
        header = parse_header(
            cartesian_header(
                (n * twice, n, 1), (fov * twice, fov, 5.0), (n, n, 1), (fov, fov, 5.0), (acceleration, 1), **others
            )
        )
        encoding = header.encoding[0]
        encoding.trajectory = xsd.trajectoryType(trajectory)
        if described:
            ramps = {"rampUpTime": self.ramp_us, "rampDownTime": self.ramp_us, "flatTopTime": self.flat_us}
            times = {"numberOfNavigators": 3, "numSamples": self.n_samples, **(ramps if self.ramp_us else {})}
            parameter = xsd.userParameterLongType
            encoding.trajectoryDescription = xsd.trajectoryDescriptionType(
                identifier="ConventionalEPI",
                userParameterLong=[parameter(name=name, value=round(value)) for name, value in times.items()],
                userParameterDouble=[xsd.userParameterDoubleType(name="dwellTime", value=DWELL_US)],
            )
        return header

    def acquisition(self, data: np.ndarray, e1: int, is_reversed: bool, flags=(), **idx: int) -> ismrmrd.Acquisition:
        n = data.shape[1]
        centre = n - 1 - n // 2 if is_reversed and not self.ramp_us else n // 2
        acquisition = ismrmrd.Acquisition.from_array(
            np.ascontiguousarray(data, np.complex64), sample_time_us=DWELL_US, center_sample=centre,
            read_dir=(1, 0, 0), phase_dir=(0, 1, 0), slice_dir=(0, 0, 1),
        )  # fmt: skip
        acquisition.idx.kspace_encode_step_1 = e1
        for name, value in idx.items():
            setattr(acquisition.idx, name, value)
        for flag in (*flags, *((REVERSE,) if is_reversed else ())):
            acquisition.set_flag(flag)
        return acquisition

    def train(
        self, lines: list[int], navigators: str = "+-+", first_reversed: bool = False, flags=(), behind: bool = False,
        last: bool = True, scale: float = 1.0, **idx: int,
    ) -> Iterator[ismrmrd.Acquisition]:  # fmt: skip
        """Navigators and lines after one excitation. scale: of the signal. behind: navigators come after the lines."""
        echo = 0

        def navigator_lines() -> Iterator[ismrmrd.Acquisition]:
            nonlocal echo
            for sign in navigators:
                data = self.line(None, sign == "-", echo, scale, **idx)
                yield self.acquisition(data, self.n // 2, sign == "-", [*flags, NAVIGATOR], **idx)
                echo += 1

        if not behind:
            yield from navigator_lines()
        for number, e1 in enumerate(lines):
            is_reversed = bool(number % 2) != first_reversed
            data = self.line(e1 - self.n // 2, is_reversed, echo, scale, **idx)
            ends = [LAST] if last and number == len(lines) - 1 else []
            yield self.acquisition(data, e1, is_reversed, [*flags, *ends], **idx)
            echo += 1
        if behind:
            yield from navigator_lines()

    def ideal(self) -> "Epi":
        """The same without what differs between the directions, and without ramps or readout oversampling."""
        return replace(self, n_samples=self.n, ramp_us=0.0, late=0.0, phase=0.0)


def _blob(squared: np.ndarray, sharpness: float) -> np.ndarray:
    return np.asarray(0.5 - 0.5 * np.tanh((squared - 1) * sharpness / 2))


def noisy(acquisitions, rng: np.random.Generator, mixing: np.ndarray | None = None) -> list[ismrmrd.Acquisition]:
    """The acquisitions with noise of SD 1 per part, `mixing` (channel, channel) applied."""
    out = []
    for acquisition in acquisitions:
        noise = rng.standard_normal((2, *acquisition.data.shape))
        noise = noise[0] + 1j * noise[1]
        data = acquisition.data + (noise if mixing is None else mixing @ noise)
        out.append(ismrmrd.Acquisition(acquisition.getHead(), data=np.ascontiguousarray(data, np.complex64)))
    return out


def difference(image: np.ndarray, ideal: np.ndarray) -> float:
    """The largest, of complex images, relative to the brightest pixel. They are scaled to each other by a real number.

    A ghost is among it; so are a shift of the object and a change of its phase.
    """
    scale = np.vdot(ideal, image).real / np.vdot(ideal, ideal).real
    return float(np.abs(image / scale - ideal).max() / np.abs(ideal).max())
