"""The pipeline grappa_snr against what Gadgetron 4.7.2 made of the same raw data."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from snrstream.api import chosen_chain
from snrstream.gadgets.gadget import run as run_gadget

# Gadgetron's own results on the brain, as means over blocks of 8 x 8 pixels: |image|, g-map, SNR map.
RECORDED = Path(__file__).parents[1] / "recorded" / "gadgetron_4.7.2_brain_16ch_r3.json"
WORTH_COMPARING = 20  # SNR above which the two are compared; below, adaptive combination amplifies noise


def reconstruct(read_scan, name: str | Path) -> dict[int, np.ndarray]:
    header, acquisitions = read_scan(name)
    images = chosen_chain("grappa_snr", {"axes": "kspace"}).run(acquisitions, header)
    return {image.image_series_index: image.data[0, 0] for image in images}


def nrmse(ours: np.ndarray, theirs: np.ndarray) -> float:
    return float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))


@pytest.mark.parametrize("name", ["phantom_14ch_r3_noise", "brain_16ch_r3"])
def test_pixel_by_pixel(read_scan, test_data: Path, name: str) -> None:
    with np.load(test_data / "gadgetron_4.7.2" / f"{name}.npz") as theirs:
        print(name, require_agreement(reconstruct(read_scan, test_data / f"{name}.h5"), theirs))


def require_agreement(ours: dict[int, np.ndarray], theirs: Mapping[str, np.ndarray]) -> str:
    """Series 1, 20 and 300 against Gadgetron's where there is signal, within the limits; the figures."""
    region = np.abs(theirs["snr"]) > WORTH_COMPARING
    assert np.count_nonzero(region) > 1000
    image = nrmse(np.abs(ours[1])[region], np.abs(theirs["image"])[region])
    snr = nrmse(ours[300][region], np.abs(theirs["snr"])[region])
    g = float(np.median(np.abs(ours[20] - np.abs(theirs["gmap"]))[region]))
    assert image <= 0.005 and snr <= 0.01 and g <= 0.01
    return f"NRMSE of the image {image:.2%}, of the SNR map {snr:.2%}, median difference of g {g:.4f}"


def test_against_recorded_figures(read_scan) -> None:
    recorded = {name: np.array(values) for name, values in json.loads(RECORDED.read_text()).items()}
    ours = reconstruct(read_scan, "brain_16ch_r3")
    region = recorded["snr"] > WORTH_COMPARING
    assert np.count_nonzero(region) > 15
    assert nrmse(blocks(np.abs(ours[1]))[region], recorded["image"][region]) <= 0.005
    assert nrmse(blocks(ours[300])[region], recorded["snr"][region]) <= 0.01
    assert np.median(np.abs(blocks(ours[20]) - recorded["gmap"])[region]) <= 0.01


def blocks(pixels: np.ndarray) -> np.ndarray:
    return pixels.reshape(16, 8, 16, 8).mean(axis=(1, 3))


def test_whitened_air_has_unit_noise(read_scan) -> None:
    """Air at the edges of the fully sampled brain, where the receiver's filter passes all."""
    import torch

    from snrstream.gadgets import noise_adjust
    from snrstream.recon.fft import to_image

    header, acquisitions = read_scan("brain_16ch_r1")
    white = list(run_gadget(noise_adjust, acquisitions, header, noise_adjust.Parameters()))
    lines = {a.idx.kspace_encode_step_1: torch.from_numpy(a.data) for a in white}
    coils = to_image(torch.stack([lines[n] for n in range(128)], dim=1)).numpy()
    air = np.concatenate([coils[:, :8, 40:90], coils[:, -8:, 40:90]], axis=1)
    assert air.real.std() == pytest.approx(1.0, abs=0.03)
    assert air.imag.std() == pytest.approx(1.0, abs=0.03)
