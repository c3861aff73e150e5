"""Noise measurements made of a seed."""

import numpy as np

from snrstream.noise.measurement import NoiseMeasurement


def noise_measurement(n_channels: int = 4, seed: int = 0, labels: tuple[str, ...] = ()) -> NoiseMeasurement:
    rng = np.random.default_rng(seed)
    n_samples = 50 * n_channels
    samples = rng.standard_normal((n_channels, 2 * n_samples)).view(np.complex128)
    mixed = (np.eye(n_channels) + 0.3j * rng.standard_normal((n_channels, n_channels))) @ samples
    return NoiseMeasurement(mixed @ mixed.conj().T / n_samples, n_samples, 20.0, 0.793, labels)


def assert_same(left: NoiseMeasurement, right: NoiseMeasurement) -> None:
    assert left.covariance.dtype == right.covariance.dtype
    assert np.array_equal(left.covariance, right.covariance)
    for name in ("n_samples", "dwell_us", "bandwidth_ratio", "labels"):
        assert getattr(left, name) == getattr(right, name)
