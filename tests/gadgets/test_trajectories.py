"""Lines that bring a trajectory under a header that says cartesian."""

from collections.abc import Iterator

import ismrmrd
import numpy as np
import pytest

from snrstream.errors import ScanError
from snrstream.gadgets import accumulate
from snrstream.gadgets.gadget import run
from snrstream.items import Bucket

from .. import scans
from ..scans import random_complex

N = 64
READOUT = np.arange(N) - N // 2


def bucket(trajectories: np.ndarray, **properties: int) -> Bucket:
    """Of a scan whose line n brings `trajectories[n]`, `(sample, dimension)`."""
    header = scans.header((1, len(trajectories), N))
    (found,) = run(accumulate, lines(trajectories, **properties), header)
    return found


def lines(trajectories: np.ndarray, **properties: int) -> Iterator[ismrmrd.Acquisition]:
    kspace = random_complex(2, 1, len(trajectories), N)
    plain = scans.acquisitions(kspace, [(0, y) for y in range(len(trajectories))])
    for acquisition, trajectory in zip(plain, trajectories, strict=True):
        found = ismrmrd.Acquisition.from_array(acquisition.data, trajectory.astype(np.float32))
        head = acquisition.getHead()
        head.trajectory_dimensions = trajectory.shape[1]
        for name, value in properties.items():
            setattr(head, name, value)
        found.setHead(head)
        yield found


def turned(angles: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """A line through k = 0 for each angle in radians."""
    return scale * READOUT[:, None] * np.stack([np.cos(angles), np.sin(angles)], -1)[:, None, :]


def cartesian(n_lines: int = N, scale: float = 1.0) -> np.ndarray:
    places = np.zeros((n_lines, N, 3))
    places[..., 0], places[..., 1] = READOUT, (np.arange(n_lines) - n_lines // 2)[:, None]
    return scale * places


def rotation() -> np.ndarray:
    q, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))
    return q


@pytest.mark.parametrize(
    "trajectory",
    [
        cartesian(),
        cartesian(scale=0.5 / N),  # in units of the whole k-space
        cartesian() @ rotation(),  # along the scanner's axes
        cartesian()[:, :, [1, 0, 2]],
        cartesian() * np.where(np.arange(N) % 2, -1, 1)[:, None, None],  # to and fro
        cartesian() + 0.4,  # the gradients are late
        np.zeros((N, N, 2)),
        np.ones((N, N, 1)),
    ],
)
def test_cartesian_trajectories_change_nothing(trajectory: np.ndarray) -> None:
    found, plain = bucket(trajectory), bucket(np.zeros((N, N, 0)))
    assert np.array_equal(found.kspace, plain.kspace) and found.warnings == plain.warnings


@pytest.mark.parametrize(
    ("trajectory", "match"),
    [
        (turned(np.pi * np.arange(N) / N), "turned by 2.81 degrees"),
        (turned(np.pi * np.arange(N) / N, 0.5 / N), "turned by 2.81 degrees"),
        (turned(np.pi * 0.618034 * np.arange(N)), "29.4 samples off the direction"),
        (turned(np.pi * np.arange(N) / (16 * N)), "turned by .* degrees"),  # so slowly that the second line passes
        (turned(np.pi / 2 * (np.arange(N) >= N - 1)), "turned by 90 degrees"),  # the last line alone
        (cartesian() * np.where(READOUT < -20, 0.5, 1)[:, None], "off a straight line with even steps"),  # ramps
        (READOUT[:, None] * np.exp(0.3j * READOUT)[:, None], "off a straight line with even steps"),  # a spiral
        (np.full((N, N, 2), np.nan), "nan samples off"),
        (np.full((N, N, 2), np.inf), "nan samples off"),
    ],
)
def test_other_trajectories_are_refused(trajectory: np.ndarray, match: str) -> None:
    if np.iscomplexobj(trajectory):
        trajectory = np.stack([np.concatenate([trajectory.real, trajectory.imag], 1)] * N)
    with pytest.raises(ScanError, match=f"trajectory of acquisition .*{match}.*; expected at most 0.5 in a scan whose"):
        bucket(trajectory)


def test_samples_to_discard_are_not_looked_at() -> None:
    trajectory = cartesian()
    trajectory[:, :4] = 1000
    trajectory[:, -2:] = np.nan
    bucket(trajectory, discard_pre=4, discard_post=2)
    with pytest.raises(ScanError, match="samples off"):
        bucket(trajectory, discard_pre=4)


def test_a_trajectory_of_other_dimensions() -> None:
    header = scans.header((1, N, N))
    mixed = [*list(lines(cartesian()))[:10], *list(lines(cartesian()[:, :, :2]))[10:]]
    with pytest.raises(ScanError, match="2 dimensions, the first line one of 3; expected the same"):
        list(run(accumulate, mixed, header))


def test_navigators_may_run_as_they_like() -> None:
    first, *rest = lines(turned(np.pi / 4 * (np.arange(N) == 0)))
    first.set_flag(ismrmrd.ACQ_IS_NAVIGATION_DATA)
    (found,) = run(accumulate, [first, *rest], scans.header((1, N, N)))
    assert found.line_sd[0, 1:].all()
