"""What a step that shapes the k-space of an image leaves on it."""

import dataclasses

import torch

from .items import ReconImage
from .recon.spectrum import Spectrum

NOISE_CORRELATION = "SNRSTREAM_noise_correlation"
WHITE = 1e-3  # largest departure from an SD of 1 anywhere in k-space


def tensors(item: ReconImage) -> tuple[torch.Tensor, torch.Tensor, Spectrum]:
    """Image, g-map and spectrum, as the functions of `recon` take them. Memory is shared."""
    return torch.from_numpy(item.image), torch.from_numpy(item.gmap), item.spectrum


def shaped(item: ReconImage, image: torch.Tensor, gmap: torch.Tensor, spectrum: Spectrum, *steps: str) -> ReconImage:
    """`item` with another image, g-map and spectrum, the names of the steps, and what they make of its noise."""
    meta = {key: value for key, value in item.meta.items() if key != NOISE_CORRELATION}
    if max(float((part - 1).abs().max()) for part in (spectrum.lines, spectrum.samples)) > WHITE:
        e2, e1, ro = (round(value, 2) + 0.0 for value in spectrum.correlation())  # + 0.0: no -0.00
        meta[NOISE_CORRELATION] = f"ro {ro:.2f}, e1 {e1:.2f}, e2 {e2:.2f}"
    return dataclasses.replace(
        item,
        image=image.numpy(),
        gmap=gmap.numpy(),
        spectrum=spectrum,
        history=(*item.history, *steps),
        meta=meta,
    )
