"""ONNX Runtime sends nothing to others: no identifier, and no queue of what is to be sent."""

import os
import subprocess
import sys

SCRIPT = """
from snrstream.gadgets import denoise
denoise.warm_up(denoise.Parameters())
"""


def test_no_model_that_runs_leaves_a_trace_of_telemetry(tmp_path) -> None:
    # What stops it in tests of others' must not be what stops it here.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ORT_", "CI", "GITHUB_"))}
    environment |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "NUMBA_CACHE_DIR": str(tmp_path / "numba")}
    subprocess.run([sys.executable, "-c", SCRIPT], env=environment, check=True)
    assert [path.name for path in tmp_path.iterdir() if path.name != "numba"] == []
