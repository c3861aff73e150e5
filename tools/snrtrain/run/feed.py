"""The batch of each step: drawn beside the network, or ahead of it by processes of their own."""

import itertools
from collections.abc import Iterator

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from snrstream.errors import ConfigurationError
from snrtrain.methods.batch import Batch, Method
from snrtrain.run.processes import Processes


class _Batches(Dataset[Batch | ConfigurationError]):
    """Each step draws from a generator of its own, seeded by run, process and step."""

    def __init__(self, method: Method, seed: int, rank: int, n_patches: int) -> None:
        self._method, self._seed, self._rank, self._n_patches = method, seed, rank, n_patches

    def __getitem__(self, step: int) -> Batch | ConfigurationError:
        """An error is given, not raised: out of a worker it would come with the worker's traceback for a text."""
        seed = np.random.SeedSequence([self._seed, self._rank, step]).generate_state(1, np.uint64)[0]
        generator = torch.Generator().manual_seed(int(seed >> np.uint64(1)))
        try:
            return self._method.batch(self._n_patches, generator)
        except ConfigurationError as error:
            return error


def batches(
    method: Method, seed: int, n_patches: int, first: int, processes: Processes, n_workers: int, settled: bool
) -> Iterator[Batch]:
    """Those of the steps from `first` on, without end.

    n_patches: of all processes together. settled: whether the method draws on the device. n_workers: that draw ahead
    where it does not. Raises ConfigurationError where the data are unsound.
    """
    drawn = _Batches(method, seed, processes.rank, processes.share_of(n_patches))
    steps = itertools.count(first)
    found: Iterator[Batch | ConfigurationError] = map(drawn.__getitem__, steps)
    if not settled and (n_workers or processes.device.type == "cuda"):
        found = iter(DataLoader(drawn, batch_size=None, sampler=steps, num_workers=n_workers,
                                pin_memory=processes.device.type == "cuda"))  # fmt: skip
    for batch in found:
        if isinstance(batch, ConfigurationError):
            raise batch
        yield batch
