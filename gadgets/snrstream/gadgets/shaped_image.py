"""What a step that shapes the k-space of an image takes, and leaves."""

import dataclasses

import torch

from ..items import ReconImage
from ..recon.spectrum import Spectrum


def tensors(item: ReconImage) -> tuple[torch.Tensor, torch.Tensor, Spectrum]:
    """Give image, g-map and spectrum as the functions of `recon` take them; memory is shared with the item.

    Returns
    -------
    image : Tensor, (e2, e1, ro), complex64
    gmap : Tensor, (e2, e1, ro), float32
    spectrum : Spectrum
    """
    return torch.from_numpy(item.image), torch.from_numpy(item.gmap), item.spectrum


def shaped(item: ReconImage, image: torch.Tensor, gmap: torch.Tensor, spectrum: Spectrum, *steps: str) -> ReconImage:
    """Give the item another image.

    Parameters
    ----------
    item : ReconImage
        Before; it stays as it is.
    image : Tensor, (e2, e1, ro), complex64
        In SNR units.
    gmap : Tensor, (e2, e1, ro), float32
        The noise's SD per part in each of its pixels.
    spectrum : Spectrum
        How its noise is correlated.
    *steps : str
        Names of what made it, for the history.
    """
    return dataclasses.replace(
        item,
        image=image.numpy(),
        gmap=gmap.numpy(),
        spectrum=spectrum,
        history=(*item.history, *steps),
    )
