"""Other numbers of pixels over the same field of view, and its central part."""

import torch
from torch import Tensor

from .fft import centred_slice, to_image, to_kspace
from .noise_spread import rescaled, spread
from .spectrum import Spectrum

Size = tuple[int, int, int]  # (e2, e1, ro)


def resized(
    image: Tensor, gmap: Tensor, spectrum: Spectrum, n_over_fov: Size, n_kept: Size
) -> tuple[Tensor, Tensor, Spectrum]:
    """The image on other numbers of pixels over its field of view, and of these the central ones.

    More pixels come by zeros around k-space, which is exact interpolation; fewer by leaving out the outer k-space.
    Pixel N // 2 stays in place. The noise keeps its SD, so that interpolated pixels keep their values, and pixels of
    coarser k-space gain SNR. The g-map is the SD of the interpolated noise: of uncorrelated noise exactly.

    Parameters
    ----------
    image : Tensor
        `(e2, e1, ro)` complex64 in SNR units.
    gmap : Tensor
        `(e2, e1, ro)` float32: the SD of its noise.
    spectrum : Spectrum
        How its noise is correlated.
    n_over_fov : tuple of int
        Pixels (e2, e1, ro) over the field of view.
    n_kept : tuple of int
        Pixels (e2, e1, ro) that are kept, no more than `n_over_fov`.

    Returns
    -------
    image, gmap, spectrum : tuple
        All three with the shape `n_kept`.
    """
    resampled = [axis for axis in range(3) if n_over_fov[axis] != image.shape[axis]]
    cropped = [axis for axis in range(3) if n_kept[axis] != n_over_fov[axis]]
    power = gmap.square()
    lines, samples = spectrum.lines.double(), spectrum.samples.double()
    for axis in resampled:
        n = n_over_fov[axis]
        power = spread(power, {axis: _resample(torch.eye(image.shape[axis], dtype=torch.complex128), 0, n)})
        image = _resample(image, axis, n)
        if axis == 2:
            samples = _fit(samples, 0, n)
        else:
            lines = _fit(lines, axis, n)
    after, scale = rescaled(lines, samples)
    for axis in cropped:
        n = n_kept[axis]
        image, power = (_central(values, axis, n) for values in (image, power))
        after = _spectrum_of_crop(after, axis, n)
    return scale * image, power.sqrt().float(), after


def _resample(image: Tensor, axis: int, n: int) -> Tensor:
    return to_image(_fit(to_kspace(image, dims=(axis,)), axis, n), dims=(axis,))


def _fit(kspace: Tensor, axis: int, n: int) -> Tensor:
    """`n` samples along `axis`, with k = 0 at n // 2: zeros around the given ones, or the central ones."""
    size = kspace.shape[axis]
    if n <= size:
        return _central(kspace, axis, n)
    out = kspace.new_zeros([n if a == axis else s for a, s in enumerate(kspace.shape)])
    _central(out, axis, size).copy_(kspace)
    return out


def _central(values: Tensor, axis: int, n: int) -> Tensor:
    return values.narrow(axis, centred_slice(n, values.shape[axis]).start, n)


def _spectrum_of_crop(spectrum: Spectrum, axis: int, n: int) -> Spectrum:
    """Of the central `n` pixels of noise: its power, on the coarser grid of their k-space."""
    size = len(spectrum.samples) if axis == 2 else spectrum.lines.shape[axis]
    deltas = torch.eye(size, dtype=torch.complex128)
    response = to_kspace(_central(to_image(deltas, dims=(0,)), 0, n), dims=(0,))
    if axis == 2:
        return Spectrum.of(spectrum.lines, spread(spectrum.samples.square(), {0: response}).sqrt())
    return Spectrum.of(spread(spectrum.lines.square(), {axis: response}).sqrt(), spectrum.samples)
