"""The scripts of examples/, each run as a user runs it, in an empty folder."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import snrstream

from ..end_to_end.conftest import ENVIRONMENT

FOLDER = Path(__file__).resolve().parents[2] / "examples"
EXAMPLES = sorted(path.name for path in FOLDER.glob("*.py"))
MOST_S = 100  # they take a fifth of that on an idle machine


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_runs(name: str, tmp_path: Path) -> None:
    environment = {key: value for key, value in ENVIRONMENT.items() if key != "SNRSTREAM_MODELS"}
    command = [sys.executable, str(FOLDER / name)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=MOST_S)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() and "Traceback" not in done.stderr


def test_the_numerics_alone_give_what_the_pipeline_gives(tmp_path: Path, raw_scan) -> None:
    """In its shortest form, without a taper at the edge of k-space and the like."""
    sys.path.insert(0, str(FOLDER))
    try:
        import noise_and_gmaps
    finally:
        sys.path.remove(str(FOLDER))
    image, gmap = noise_and_gmaps.main(tmp_path / "gmap.png")
    pipeline = tmp_path / "plain.xml"
    pipeline.write_text('<configuration><gadget name="noise_adjust"/><gadget name="accumulate"/></configuration>')
    (expected,) = snrstream.reconstruct(raw_scan("brain_16ch_r3"), pipeline)
    rounding = 1e-4  # of the largest value, float32: sums go in another order, and maps in air enlarge the difference
    assert np.abs(gmap.numpy() - expected.gmap).max() < rounding * expected.gmap.max()
    assert np.abs(image.numpy() - expected.image).max() < rounding * np.abs(expected.image).max()


def test_every_example_can_be_copied() -> None:
    """None leans on the tests, or on the others."""
    for name in EXAMPLES:
        text = (FOLDER / name).read_text(encoding="utf-8")
        assert "from tests" not in text and "from examples" not in text and os.sep + "work" not in text
