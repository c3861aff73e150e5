"""Test vectors: what a model answered where it was made, and answers again."""

import io
import json
import zipfile
import zlib

import numpy as np
import pytest

from snrstream.denoising.loaded import load_model
from snrstream.denoising.recorded import deviation, read_test_vector, record_test_vector
from snrstream.errors import ModelError

from .conftest import halving_model
from .networks import Neighbours, Published, torchscript
from .test_torchscript import PUBLISHED

CONTRACTS = [
    ({}, 1),
    ({"model": torchscript(Published()), **PUBLISHED}, 16),
    ({"model": torchscript(Neighbours()), "format": "torchscript", "input": "magnitude_slices", "frames": "slice",
      "layout": "B,S,H,W", "n_frames": 5}, 5),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "n_frames"), CONTRACTS)
def test_a_model_deviates_from_its_own_answer_by_nothing(install, changes, n_frames) -> None:
    recorded = record_test_vector(install(**changes), tolerance=0.5)
    model = load_model("tiny")
    assert model.manifest.test_vector == recorded and recorded.tolerance == 0.5
    image, gmap, denoised = read_test_vector(model)
    assert image.shape == gmap.shape == denoised.shape == (n_frames, 64, 64)
    assert 0 <= deviation(model) < 1e-5  # float32


def test_another_network_under_the_same_test_vector_deviates(install) -> None:
    place = install()
    recorded = json.loads((record_test_vector(place) and place / "manifest.json").read_text())["test_vector"]
    install(halving_model(0.7), test_vector=recorded)
    assert deviation(load_model("tiny")) > 100 * recorded["tolerance"]


def test_the_shipped_model_answers_as_it_did() -> None:
    model = load_model("snraware_unet2d")
    assert deviation(model) < model.manifest.test_vector.tolerance


def test_a_test_vector_that_is_missing_or_not_what_was_recorded_is_told(install) -> None:
    with pytest.raises(ModelError, match="model tiny: its manifest has no test_vector"):
        install() and read_test_vector(load_model("tiny"))
    place = install()
    record_test_vector(place)
    model, good = load_model("tiny"), (place / "test_vector.npz").read_bytes()
    (place / "test_vector.npz").write_bytes(good[:-1])
    with pytest.raises(ModelError, match="test_vector.npz has sha256 .*; its manifest expects"):
        read_test_vector(model)
    (place / "test_vector.npz").unlink()
    with pytest.raises(ModelError, match="file 'test_vector.npz' of its manifest is not in its folder"):
        read_test_vector(model)


def pickled() -> bytes:
    data = io.BytesIO()
    np.savez(data, image=np.array([{}], object), gmap=np.ones(1), denoised=np.ones(1))
    return data.getvalue()


def with_spoilt_block() -> bytes:
    """A zip archive whose compressed bytes are none."""
    data, content = io.BytesIO(), b"\x93NUMPY" + bytes(500)
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("image.npy", content)
    packer = zlib.compressobj(wbits=-15)
    packed = packer.compress(content) + packer.flush()
    assert packed in data.getvalue()
    return data.getvalue().replace(packed, b"\xff" * len(packed))


def npy(header: bytes) -> bytes:
    """An archive whose arrays have this header."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name in ("image", "gmap", "denoised"):
            archive.writestr(f"{name}.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    return data.getvalue()


def of_other_types() -> bytes:
    data = io.BytesIO()
    np.savez(data, image=np.ones((1, 4, 4)), gmap=np.ones((1, 4, 4)), denoised=np.ones((1, 4, 4)))
    return data.getvalue()


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"", "cannot be read as a test vector"),
        (b"no archive", "cannot be read as a test vector"),
        (with_spoilt_block(), "cannot be read as a test vector: Error -3"),
        (npy(b"{'descr': '<c8', 'fortran_order': False, 'shape': (1,\n"), "cannot be read as a test vector"),
        (npy(b"{'descr': '<c8', 'fortran_order': False, 'shape': (10**32,)}"), "cannot be read as a test vector"),
        (pickled(), "cannot be read as a test vector: .*allow_pickle=False"),
        (of_other_types(), "holds image float64 .*; expected complex64, float32, complex64 alike"),
    ],
)
def test_a_file_that_is_no_test_vector_is_told(install, data, match) -> None:
    import hashlib

    place = install(test_vector={"file": "v.npz", "sha256": hashlib.sha256(data).hexdigest(), "tolerance": 1})
    (place / "v.npz").write_bytes(data)
    with pytest.raises(ModelError, match=match):
        read_test_vector(load_model("tiny"))
