"""alpha of a model that is there, on noisy labels and by the truth."""

import csv
import re

import numpy as np
import pytest
import torch

from snrstream.errors import ConfigurationError
from snrtrain.archive.archive import Pair, write_pair
from snrtrain.commands import evaluate
from tests.snrtrain.small_archive import blob

from .conftest import SLICES, centre_model, model_that_averages


def put_pair(place, seed: int = 0, source: str = "head.nii.gz (MIT)", reference: bool = True) -> None:
    """Eight slices of a disc at an SNR of 15, its noise and as much drawn noise."""
    noise = torch.randn(2, 8, 64, 64, dtype=torch.complex64, generator=torch.Generator().manual_seed(seed)).numpy()
    own, drawn = np.sqrt(np.float32(2)) * noise
    truth = np.repeat(15 * blob()[None], 8, axis=0).astype(np.float32)
    whole = truth + own
    plain = np.abs(whole)
    write_pair(place, Pair("head", source, plain, plain, plain, truth if reference else None, whole, drawn))


def test_labels_and_truth_choose_alike(tmp_path, model_folder, outputs) -> None:
    put_pair(tmp_path / "archive/validation/head/0000")
    smooth = model_folder("smooth", model=model_that_averages(), **SLICES)
    put = ["alpha", "--archive", str(tmp_path / "archive"), *outputs, "--model"]
    evaluate.main([*put, smooth])
    text = (tmp_path / "out/table.md").read_text()
    with (tmp_path / "out/table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["added"] for row in rows[::11]] == ["0.25", "1", "2", "3", "mean"]
    # Three noisy slices of one object: their mean has a third of the variance, and hardly any of the original helps.
    (by_labels, by_truth) = re.search(r"On noisy labels alpha is (\S+), by the truth (\S+)\.\n", text).groups()
    assert max(float(by_labels), float(by_truth)) <= 0.1
    for row in (rows[0], rows[11]):
        assert float(row["by_labels"]) == pytest.approx(float(row["by_truth"]), abs=2.0)  # the peak is of a noisy image
    harmful = model_folder("harmful", model=centre_model(0.5), **SLICES)
    evaluate.main([*put, harmful])
    # Some of what halves the signal is good where there is nothing but noise; at the least noise it must not harm.
    assert "On noisy labels alpha is 1, by the truth 1." in (tmp_path / "out/table.md").read_text()


def test_it_needs_no_reference_and_leaves_out_what_the_model_was_trained_on(tmp_path, model_folder, outputs) -> None:
    place = tmp_path / "archive/validation"
    put_pair(place / "head/0000", reference=False)
    put = ["alpha", "--archive", str(tmp_path / "archive"), *outputs, "--model"]
    evaluate.main([*put, model_folder("same", model=centre_model(1.0), **SLICES)])
    alone = (tmp_path / "out/table.md").read_text()
    assert "by the truth" not in alone
    put_pair(place / "leg/0000", seed=1, source="leg.nii.gz (MIT)", reference=False)
    known = {**SLICES, "training": {"data": ["leg.nii.gz (MIT)"]}}
    evaluate.main([*put, model_folder("seen", model=centre_model(1.0), **known)])
    told = (tmp_path / "out/table.md").read_text()
    assert "nothing is judged by it: leg.nii.gz." in told
    assert told.split("###")[1:] == alone.split("###")[1:]


def test_mistakes_are_told(tmp_path, model_folder, outputs) -> None:
    put_pair(tmp_path / "archive/train/head/0000")
    slices = model_folder("same", model=centre_model(1.0), **SLICES)
    put = ["alpha", "--archive", str(tmp_path / "archive"), *outputs, "--model"]
    with pytest.raises(ConfigurationError, match="no finished entry in validation/"):
        evaluate.main([*put, slices])
    with pytest.raises(ConfigurationError, match="takes complex_gmap; an archive's pairs are for magnitude_slices"):
        evaluate.main([*put, model_folder("complex")])
