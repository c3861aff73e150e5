"""One process, or several that torchrun has started: which of them this one is, and its device."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import nn

from snrstream.errors import ConfigurationError


@dataclass(frozen=True)
class Processes:
    """rank: of this one among `n`. device: that it trains on."""

    rank: int
    n: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """The one that validates, writes and talks."""
        return self.rank == 0

    def share_of(self, batch: int) -> int:
        """Patches of a step for this process. Raises ConfigurationError where they do not divide."""
        if batch % self.n:
            raise ConfigurationError(f"setting batch is {batch}; expected a multiple of the {self.n} processes")
        return batch // self.n

    def wrapped(self, network: nn.Module) -> nn.Module:
        """The network, its gradients averaged over all processes."""
        if self.n == 1:
            return network
        return nn.parallel.DistributedDataParallel(network)

    def told(self, number: int) -> int:
        """What the first process says. No GPU is waited for."""
        if self.n == 1:
            return number
        said = torch.tensor([number])
        dist.broadcast(said, 0)
        return int(said)


@contextmanager
def processes(device: str | None) -> Iterator[Processes]:
    """Join the group that torchrun's environment names. device: `cpu`, `cuda` or None for the best at hand.

    Raises ConfigurationError for a device that is not there.
    """
    rank, n, local = (int(os.environ.get(key, default)) for key, default in
                      (("RANK", "0"), ("WORLD_SIZE", "1"), ("LOCAL_RANK", "0")))  # fmt: skip
    found = "cuda" if torch.cuda.is_available() else "cpu"
    name = device or found
    if name not in ("cpu", found):
        raise ConfigurationError(f"device {name} is not at hand; expected {' or '.join(sorted({'cpu', found}))}")
    chosen = torch.device("cuda", local) if name == "cuda" else torch.device("cpu")
    if chosen.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # else its sums have no order of their own
        torch.backends.cudnn.deterministic = True
        torch.cuda.set_device(chosen)
    if n == 1:
        yield Processes(rank, n, chosen)
        return
    dist.init_process_group("cpu:gloo,cuda:nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield Processes(rank, n, chosen)
    finally:
        dist.destroy_process_group()
