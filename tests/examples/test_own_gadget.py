"""The gadget to copy runs, by the script beside it and as a server would run it, and does what it says."""

import subprocess
import sys
from pathlib import Path

import numpy as np

from snrstream.chain.registry import known_gadgets
from snrstream.gadgets.gadget import run
from tests.denoising.images import recon_image
from tests.scans import NO_HEADER

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def test_the_script_tells_what_is_left() -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLES / "own_gadget.py"], capture_output=True, text=True, check=True, timeout=120
    )
    assert "masked below SNR 5" in done.stdout and "of the pixels are left" in done.stdout


def test_pixels_below_the_limit_are_zero_and_the_others_as_they_were() -> None:
    module, item = known_gadgets(EXAMPLES / "gadgets").module("mask_noise"), recon_image()
    (out,) = run(module, [item], NO_HEADER, module.Parameters(snr=1.0))
    kept = np.abs(item.image) >= item.gmap
    assert 0 < kept.sum() < kept.size
    assert np.array_equal(out.image[kept], item.image[kept]) and not out.image[~kept].any()
