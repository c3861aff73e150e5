"""Tissues by a hidden Markov random field: told apart through noise, over the volume."""

import pytest
import torch

from snrtrain.evaluation import tissues
from snrtrain.metrics import dice


@pytest.fixture
def blocks() -> torch.Tensor:
    """Three tissues side by side in air, `(slice, e1, ro)`."""
    images = torch.zeros(4, 40, 40)
    images[:, 5:35, 5:15], images[:, 5:35, 15:25], images[:, 5:35, 25:35] = 1.0, 2.0, 3.0
    return images


def test_neighbours_tell_tissues_apart_where_brightness_alone_does_not(blocks) -> None:
    expected, mask = blocks.to(torch.int64), blocks > 0
    noisy = blocks + 0.35 * torch.randn(blocks.shape, generator=torch.Generator().manual_seed(0))
    found = tissues.tissue_classes(noisy.clamp(min=0).to(torch.complex64), mask)
    by_thresholds = torch.where(mask, noisy.round().clamp(1, 3), 0).to(torch.int64)
    assert dice(found, expected) > dice(by_thresholds, expected) + 0.01
    assert torch.equal(found > 0, mask), "inside the object alone, all of it"


def test_a_few_vessels_are_no_tissue_of_their_own(blocks) -> None:
    expected, mask = blocks.to(torch.int64), blocks > 0
    blocks[:, 6, 30] = 30.0
    noise = 0.05 * torch.randn(blocks.shape, generator=torch.Generator().manual_seed(0))
    assert dice(tissues.tissue_classes(blocks + noise, mask), expected) > 0.95


def test_a_truth_without_noise_has_its_tissues(blocks) -> None:
    assert dice(tissues.tissue_classes(blocks, blocks > 0), blocks.to(torch.int64)) == 1.0


def test_nothing_has_no_tissues() -> None:
    air = torch.zeros(2, 12, 12)
    assert not bool(tissues.tissue_classes(air, air > 0).any())
