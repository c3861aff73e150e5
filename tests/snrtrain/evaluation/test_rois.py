"""Label images: what they may be, and what is measured in them."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from snrstream.errors import ConfigurationError
from snrtrain.evaluation import rois

IMAGE = (2, 5, 4)


def nifti(place: Path, data: np.ndarray) -> Path:
    nibabel.save(nibabel.Nifti1Image(data, np.eye(4)), place)
    return place


def npy(place: Path, data: np.ndarray) -> Path:
    np.save(place, data)
    return place


def drawn(shape: tuple[int, ...]) -> np.ndarray:
    labels = np.zeros(shape, np.int16)
    labels.flat[1], labels.flat[5:7] = 1, 3
    return labels


def test_labels_of_an_image(tmp_path) -> None:
    labels = drawn(IMAGE)
    assert torch.equal(rois.of_image(npy(tmp_path / "a.npy", labels), IMAGE), torch.from_numpy(labels).long())
    assert torch.equal(rois.of_image(nifti(tmp_path / "a.nii.gz", labels.T), IMAGE), torch.from_numpy(labels).long()), (
        "NIfTI begins with the readout"
    )
    flat = npy(tmp_path / "b.npy", drawn((5, 4)).astype(np.float32))
    assert rois.of_image(flat, (1, 5, 4)).shape == (1, 5, 4)
    assert rois.found_in(rois.of_image(flat, (1, 5, 4))) == [1, 3]


def test_labels_of_a_series(tmp_path) -> None:
    shape, whole = (5, 4, 3, 6), drawn((5, 4, 3, 6))
    whole[2, 1, 1] = 2
    of_phases = torch.from_numpy(whole[:, :, 1].transpose(2, 0, 1).astype(np.int64))
    assert torch.equal(rois.of_series(nifti(tmp_path / "phases.nii.gz", whole), shape, 1), of_phases)
    assert torch.equal(rois.of_series(nifti(tmp_path / "one.nii", whole[:, :, 1:2]), shape, 1), of_phases), (
        "a mask of one slice is of the slice that was chosen"
    )
    assert torch.equal(rois.of_series(npy(tmp_path / "frames.npy", of_phases.numpy()), shape, 1), of_phases)
    still = of_phases[:1].expand(6, -1, -1)
    for place, mask in (
        (tmp_path / "slices.nii", whole[..., 0]), (tmp_path / "plane.nii.gz", whole[:, :, 1, 0]),
        (tmp_path / "plane.npy", whole[:, :, 1, 0]),
    ):  # fmt: skip
        path = (npy if place.suffix == ".npy" else nifti)(place, mask)
        assert torch.equal(rois.of_series(path, shape, 1), still)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (drawn((2, 4, 5)), r"has the shape \(2, 4, 5\); expected \(2, 5, 4\)"),
        (np.zeros(IMAGE), "has no label there"),
        (np.full(IMAGE, 0.5), "values that are no labels"),
        (np.full(IMAGE, np.nan), "values that are no labels"),
        (np.full(IMAGE, -1), "values that are no labels"),
        (np.full(IMAGE, "a"), "has values of <U1"),
        (np.full(IMAGE, 1j), "has values of complex128"),
        (np.full(IMAGE, None), "mask.npy is neither; expected NIfTI or \\.npy with an array of numbers"),
    ],
    ids=["size", "none", "fraction", "nan", "negative", "text", "complex", "pickled"],
)
def test_what_is_no_mask_is_named(tmp_path, data, message) -> None:
    with pytest.raises(ConfigurationError, match=message) as error:
        rois.of_image(npy(tmp_path / "mask.npy", data), IMAGE)
    assert "\n" not in str(error.value)


def test_files_that_are_none_are_named(tmp_path) -> None:
    (tmp_path / "text.nii.gz").write_text("labels")
    (tmp_path / "text.npy").write_text("labels")
    np.savez(tmp_path / "several.npy.npz", a=np.ones(2))
    for name in ("text.nii.gz", "text.npy", "several.npy.npz", "none.npy", "none.nii"):
        with pytest.raises(ConfigurationError, match=name) as error:
            rois.of_image(tmp_path / name, IMAGE)
        assert "\n" not in str(error.value)
    with pytest.raises(ConfigurationError, match=r"\(5, 4, 2, 3\); expected \(3, 5, 4\)"):
        rois.of_series(nifti(tmp_path / "other.nii", drawn((5, 4, 2, 3))), (5, 4, 6, 3), 0)


def test_mean_sd_snr_and_cnr_by_hand() -> None:
    mean = torch.tensor([[[10.0, 12.0, 4.0, 6.0, 0.0]]])
    sd = torch.tensor([[[1.0, 3.0, 1.0, 1.0, 9.0]]])
    first, second = rois.rows("noisy", mean, sd, torch.tensor([[[2, 2, 4, 4, 0]]]))
    assert (first.label, first.pixels, first.mean, first.sd, first.snr) == (2, 2, 11.0, 2.0, 5.5)
    assert np.isnan(first.cnr)
    assert (second.label, second.snr, second.cnr) == (4, 5.0, pytest.approx(2 * (11 - 5) / (2 + 1)))
