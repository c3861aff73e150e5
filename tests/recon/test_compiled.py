"""The compiled kernel, where numba finds no folder to keep it in."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import snrstream


def test_an_installation_that_cannot_be_written_works(tmp_path) -> None:
    """Where a file has the name of a folder, and below /proc, not even root makes one."""
    copy = tmp_path / "snrstream"
    shutil.copytree(Path(snrstream.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "recon" / "__pycache__").touch()
    unwritable = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR"), "/proc/none")
    script = (
        "import torch; from snrstream.recon import coil_maps\n"
        "print(coil_maps.__file__, coil_maps.inati(torch.ones(4, 1, 8, 8, dtype=torch.complex64), 5).abs().max())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | unwritable | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.split() == [str(copy / "recon" / "coil_maps.py"), "tensor(0.5000)"]  # of 4 equal channels
