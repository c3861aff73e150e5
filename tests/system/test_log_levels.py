"""Which loggers may write below WARNING, in processes of their own, for levels belong to the whole process."""

import json
import subprocess
import sys

import pytest

from tests.end_to_end.conftest import ENVIRONMENT

OTHERS = ("numba.core.ssa", "PIL.PngImagePlugin", "h5py._conv", "matplotlib.font_manager", "torch", "onnxruntime",
          "asyncio", "xsdata", "pydicom")  # fmt: skip
LEVELS = f"""
import json, logging
from snrstream.system.log_levels import quiet_third_parties
logging.basicConfig(level=LEVEL)
quiet_third_parties()
quiet_third_parties()
names = ["snrstream.gadgets.denoise", "gadgetron.external", *{OTHERS!r}]
print(json.dumps([logging.getLogger(name).getEffectiveLevel() for name in names]))
"""


@pytest.mark.parametrize(
    ("level", "ours", "others"), [("DEBUG", 10, 30), ("INFO", 20, 30), ("WARNING", 30, 30), ("ERROR", 40, 40)]
)
def test_third_parties_begin_with_warning(level: str, ours: int, others: int) -> None:
    program = LEVELS.replace("LEVEL)", f"{level!r})")
    done = subprocess.run(
        [sys.executable, "-c", program], env=ENVIRONMENT, capture_output=True, text=True, check=True, timeout=60
    )
    assert json.loads(done.stdout) == 2 * [ours] + len(OTHERS) * [others]


def test_a_verbose_command_tells_of_us_alone(raw_scan, tmp_path) -> None:
    """A first reconstruction, so that numba compiles, with previews and DICOM, at the level DEBUG."""
    command = [sys.executable, "-m", "snrstream", "recon", "--verbose", "--pipeline", "grappa_denoise",
               str(raw_scan("brain_16ch_r3")), "--output", str(tmp_path / "out")]  # fmt: skip
    environment = ENVIRONMENT | {"NUMBA_CACHE_DIR": str(tmp_path / "numba")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=300)
    assert any((tmp_path / "numba").rglob("*.nb?")), "nothing was compiled"
    assert len(done.stderr.splitlines()) <= 30, done.stderr[:3000]
