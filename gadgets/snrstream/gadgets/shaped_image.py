"""What a step that shapes the k-space of an image takes, and leaves."""

import dataclasses

import torch

from ..items import ReconImage
from ..recon.spectrum import Spectrum


def tensors(item: ReconImage) -> tuple[torch.Tensor, torch.Tensor, Spectrum]:
    """Image, g-map and spectrum, as the functions of `recon` take them. Memory is shared."""
    return torch.from_numpy(item.image), torch.from_numpy(item.gmap), item.spectrum


def shaped(item: ReconImage, image: torch.Tensor, gmap: torch.Tensor, spectrum: Spectrum, *steps: str) -> ReconImage:
    """`item` with another image, g-map and spectrum, and the names of the steps that made them."""
    return dataclasses.replace(
        item,
        image=image.numpy(),
        gmap=gmap.numpy(),
        spectrum=spectrum,
        history=(*item.history, *steps),
    )
