"""The Berkeley Advanced Reconstruction Toolbox, run as a process on cfl files in a temporary folder."""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .timing import seconds


def installed() -> bool:
    """Whether the command `bart` is on the path."""
    return shutil.which("bart") is not None


class Bart:
    """Runs BART's commands in `folder`, with as many threads as torch has."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
        self.start_seconds = seconds(lambda: self("version"), 10)

    def __call__(self, *command: str) -> None:
        """Run one command. Raises CalledProcessError where it fails."""
        command = ("bart", *command)  # as the path has it
        subprocess.run(command, cwd=self.folder, env=self.environment, stdout=subprocess.DEVNULL, check=True)

    def write(self, name: str, kspace: Tensor) -> str:
        """K-space `(channel, e2, e1, ro)`, which is BART's own order: readout first, first axis fastest."""
        (self.folder / f"{name}.hdr").write_text(f"# Dimensions\n{' '.join(map(str, reversed(kspace.shape)))}\n")
        kspace.numpy().astype(np.complex64).tofile(self.folder / f"{name}.cfl")
        return name
