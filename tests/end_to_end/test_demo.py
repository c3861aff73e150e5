"""The command that the README begins with, shortened."""

import subprocess
import sys

from .conftest import ENVIRONMENT, ROOT


def test_the_demo(tmp_path) -> None:
    command = [sys.executable, "tools/demo.py", "--output", str(tmp_path), "--replicas", "2"]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "SNR in the object" in done.stdout and "snraware" in done.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"images.h5", "dicom", "preview.png"}
