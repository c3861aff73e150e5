"""Regions of a label volume: tissues inside them, and their means."""

import pytest
import torch

from snrtrain.evaluation import labelled_regions


def test_regions_by_hand() -> None:
    reference = torch.full((1, 10, 20), 2.0)
    labels, expected = torch.zeros(1, 10, 20, dtype=torch.int64), torch.ones(1, 10, 20, dtype=torch.int64)
    labels[:, :, :10], labels[:, 0, 12] = 5, 8  # the latter is too small
    classes = expected.clone()
    classes[:, :5, :10] = 2
    (region,) = labelled_regions.regions(labels, 1.5 * reference, classes, reference, expected)
    # Tissue 1 alone is there: 2 * 50 / (50 + 100).
    assert (region.label, region.n_voxels, region.bias) == (5, 100, pytest.approx(0.5))
    assert region.dice == pytest.approx(2 / 3)
