import numpy as np
import pytest
import torch

from tools.benchmarks import bart
from tools.benchmarks.timing import Row


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        (Row("a", 2.0), ""),
        (Row("a", 2.0, limit=2), "limit 2"),
        (Row("a", 2.1, limit=2), "limit 2  MISSED"),
        (Row("a", 2.0, floor=2), "at least 2"),
        (Row("a", 1.9, floor=2), "at least 2  MISSED"),
    ],
)
def test_a_row_says_whether_it_falls_short(row: Row, verdict: str) -> None:
    assert row.verdict() == verdict


@pytest.mark.skipif(not bart.installed(), reason="BART is not installed")
def test_bart_reads_what_is_written_for_it(tmp_path) -> None:
    kspace = torch.randn(3, 1, 4, 6, dtype=torch.complex64)
    run = bart.Bart(tmp_path)
    run("transpose", "0", "1", run.write("kspace", kspace), "turned")
    assert (tmp_path / "turned.hdr").read_text().split()[2:6] == ["4", "6", "1", "3"]
    turned = np.fromfile(tmp_path / "turned.cfl", np.complex64).reshape(3, 1, 6, 4)
    assert np.array_equal(turned, kspace.transpose(2, 3).numpy())
