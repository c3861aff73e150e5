"""Commands that run in the tests' own process."""

import pytest
import torch


@pytest.fixture(scope="module")
def same_threads():
    """What `--threads` sets for the process ends with the module."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
