"""A GPU of the machine that nothing uses is told of: in the log, and in each image."""

import logging

import onnxruntime
import pytest
import torch

from snrstream.denoising.manifest import load_manifest
from snrstream.denoising.model import Model
from snrstream.gadgets import accumulate, coil_combine
from snrstream.gadgets.gadget import Scan
from snrstream.gadgets.gadget import run as run_gadget
from snrstream.recon.lattice import Lattice
from snrstream.system import gpus

from ..gadgets.test_samplings import scan
from ..recon.simulation import noisy_kspace

NAME = "NVIDIA H200"
needs_no_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="here the GPU is used")


@pytest.fixture
def card(tmp_path, monkeypatch) -> None:
    (tmp_path / "gpus/0000:18:00.0").mkdir(parents=True)
    (tmp_path / "gpus/0000:18:00.0/information").write_text(f"Model: \t\t {NAME}\nIRQ:   \t\t 12\n")
    monkeypatch.setattr(gpus, "DRIVER", tmp_path / "gpus")


def images(device: str):
    header, acquisitions = scan(noisy_kspace(4, (1, 32, 32), snr=30), Lattice((1, 1)))
    told = Scan(header)
    buckets = run_gadget(accumulate, acquisitions, told, accumulate.Parameters(device=device))
    return list(run_gadget(coil_combine, buckets, told, coil_combine.Parameters()))


def test_a_machine_without_the_driver_has_none(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(gpus, "DRIVER", tmp_path / "none")
    assert gpus.gpus() == []


def test_cards_are_listed_by_name(card, tmp_path) -> None:
    (tmp_path / "gpus/0000:2a:00.0").mkdir()  # one that tells nothing
    assert gpus.gpus() == [NAME, "GPU"]


@needs_no_cuda
def test_an_unused_gpu_is_told_by_each_image(card, caplog) -> None:
    with caplog.at_level(logging.WARNING):
        (image,) = images("auto")
    (warning,) = image.warnings
    assert f"this machine has {NAME}" in warning and "CPU" in warning
    assert [record.getMessage() for record in caplog.records].count(warning) == 1
    assert image.meta["SNRSTREAM_unused_gpu"] == "true" and image.meta["SNRSTREAM_recon_device"] == "cpu"


@needs_no_cuda
@pytest.mark.parametrize("device", ["cpu", "auto"])
def test_who_wants_the_cpu_or_has_nothing_else_is_not_told(device: str, card, tmp_path, monkeypatch) -> None:
    if device == "auto":
        monkeypatch.setattr(gpus, "DRIVER", tmp_path / "none")
    (image,) = images(device)
    assert image.warnings == () and "SNRSTREAM_unused_gpu" not in image.meta


@pytest.mark.skipif(
    "CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="this ONNX Runtime has CUDA"
)
def test_a_model_by_an_onnx_runtime_without_cuda_falls_back_from_the_gpu(card) -> None:
    (told,) = Model(*load_manifest("snraware_unet2d")).fallbacks
    assert told.startswith(f"cuda to cpu: this machine has {NAME}, but onnxruntime ")
    assert Model(*load_manifest("snraware_unet2d"), devices=("cpu",)).fallbacks == ()
