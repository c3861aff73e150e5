"""The whole reconstruction: calibrate, maps, unmixing, g, combine. Here alone they meet.

From calibration lines and the sampling to an image and its g-map:

    acquired = Acquired.of(sampled, Lattice((3, 1)), n_ro)
    plan = Plan.of(acs, start, acquired)
    image, gmap = plan.image(kspace), plan.gmap

k-space is prewhitened; then the noise SD of the image is g per real and imaginary part.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from .acquired import Acquired
from .coil_maps import calibration_images, inati, walsh
from .combine import Combiner
from .fft import to_image
from .grappa import NOISE_FROM, TIKHONOV, Kernel, calibrate
from .lattice import Lattice
from .spectrum import Spectrum
from .unmixing import gfactor, unmixing_coefficients

MOST_SAMPLINGS = 64  # whose coefficients a plan keeps


@dataclass(frozen=True)
class KernelOptions:
    """How a GRAPPA kernel is fitted.

    n_lines, n_partitions, n_samples: its size in acquired lines, acquired partitions and readout samples, see
    `calibrate`. tikhonov: regularisation, as a fraction of the mean diagonal of the normal equations.
    regularisation: by `tikhonov` alone, or also by the `noise` that the kernel will meet, which has less noise and more
    residual aliasing; `auto` takes `noise` from a net acceleration of 4 on, where k-space is in SNR units.
    """

    n_lines: int = 4
    n_partitions: int = 4
    n_samples: int = 5
    tikhonov: float = TIKHONOV
    regularisation: Literal["auto", "tikhonov", "noise"] = "auto"

    def by_noise(self, lattice: Lattice, snr_units: bool) -> bool:
        """Whether the kernel for `lattice` is regularised by noise."""
        if self.regularisation == "auto":
            return snr_units and math.prod(lattice.acceleration) >= NOISE_FROM
        return self.regularisation == "noise"


@dataclass(frozen=True)
class MapOptions:
    """How coil maps are found.

    method: `inati` or `walsh`, which differ in their phase. window: edge in pixels of the neighbourhood from which a
    pixel of the maps is found. step: distance in pixels of those found; the others are interpolated.
    """

    method: Literal["inati", "walsh"] = "inati"
    window: int = 7
    step: int = 2

    @property
    def margin(self) -> int:
        """How many pixels beside a pixel count for its maps."""
        return self.window // 2 + self.step

    def finder(self, signal: Tensor) -> Callable[[Tensor], Tensor]:
        """Makes maps of coil images `(channel, e2, e1, ro)`, of the whole or of any part in it.

        signal: `(channel, ...)`, all that there is: Walsh's phase is that of the channel with most of it, everywhere.
        """
        if self.method == "inati":
            return functools.partial(inati, window=self.window, step=self.step)
        strongest = int(torch.linalg.vector_norm(signal.flatten(1), dim=1).argmax())
        return functools.partial(walsh, window=self.window, step=self.step, reference=strongest)


KERNEL, MAPS = KernelOptions(), MapOptions()


def fit_kernel(
    acs: Tensor,
    start: tuple[int, int],
    size: tuple[int, int],
    lattice: Lattice,
    options: KernelOptions = KERNEL,
    snr_units: bool = True,
) -> Kernel:
    """The GRAPPA kernel of calibration lines, regularised as `options` have it.

    acs: `(channel, e2, e1, ro)` complex64, contiguous lines, the first of which has index `start` in k-space of `size`
    lines, both (e2, e1), with k = 0 at size // 2. lattice: with acceleration. snr_units: whether `acs` is prewhitened.

    Raises ScanError as `calibrate` does.
    """
    return calibrate(
        acs,
        lattice,
        n_lines=options.n_lines,
        n_samples=options.n_samples,
        n_partitions=options.n_partitions,
        tikhonov=options.tikhonov,
        size=size if options.by_noise(lattice, snr_units) else None,
        centre=(size[0] // 2 - start[0], size[1] // 2 - start[1]),
    )


def maps_of_calibration(
    acs: Tensor, start: tuple[int, int], size: tuple[int, int], options: MapOptions = MAPS
) -> Tensor:
    """Coil maps `(channel, e2, e1, ro)` complex64 of unit norm, from calibration lines as `fit_kernel` takes them."""
    return options.finder(acs)(calibration_images(to_image(acs, dims=(-1,)), start, size))


def unmixed(
    csm: Tensor, kernel: Kernel | None, first_column: int = 0, n_ro: int | None = None
) -> tuple[Tensor, Tensor]:
    """Unmixing coefficients `(channel, e2, e1, ro)` complex64 of coil maps of that shape, and their g-map, float32.

    kernel, first_column, n_ro: as `unmixing_coefficients` takes them.
    """
    unmixing = unmixing_coefficients(kernel, csm, first_column, n_ro)
    return unmixing, gfactor(unmixing, math.prod(kernel.lattice.acceleration) if kernel is not None else 1)


@dataclass(frozen=True, eq=False)
class Plan:
    """What images that share kernel and coil maps have in common: made once, for any number of frames.

    gmap: `(e2, e1, ro)` float32, the SD of the images' noise. acquired: what `image` takes k-space to hold.
    """

    gmap: Tensor
    acquired: Acquired
    _combiner: Combiner
    _samplings: dict[Acquired, tuple[Combiner, Spectrum]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls,
        acs: Tensor,
        start: tuple[int, int],
        acquired: Acquired,
        kernel: Kernel | None = None,
        maps: MapOptions = MAPS,
    ) -> "Plan":
        """From calibration lines as `fit_kernel` takes them.

        acquired: where k-space is sampled. kernel: fitted with the default options where it is needed and not given.

        Raises ScanError as `calibrate` does.
        """
        size, lattice = acquired.grid.size, acquired.lattice
        if kernel is None and lattice.acceleration != (1, 1):
            kernel = fit_kernel(acs, start, size, lattice)
        return cls.with_maps(maps_of_calibration(acs, start, size, maps), acquired, kernel)

    @classmethod
    def of_image(cls, kspace: Tensor, acquired: Acquired, maps: MapOptions = MAPS) -> "Plan":
        """For k-space `(channel, e2, e1, ro)` without acceleration, by maps from all of it."""
        if acquired.lattice.acceleration != (1, 1):
            raise ValueError(
                f"k-space is sampled at {acquired.lattice}; expected no acceleration, or calibration lines"
            )
        return cls.with_maps(maps.finder(kspace)(to_image(kspace, dims=(1, 2, 3))), acquired)

    @classmethod
    def with_maps(cls, csm: Tensor, acquired: Acquired, kernel: Kernel | None = None) -> "Plan":
        """By given coil maps `(channel, e2, e1, ro)` of unit norm; kernel: None without acceleration."""
        unmixing, gmap = unmixed(csm, kernel)
        return cls(gmap, acquired, Combiner.plan(unmixing, acquired.scale, acquired.grid))

    def image(self, kspace: Tensor, acquired: Acquired | None = None) -> Tensor:
        """The image `(e2, e1, ro)` complex64 in SNR units of k-space `(channel, stored e2, stored e1, ro)`.

        acquired: where this k-space differs from what the plan was made for in lines, averages or samples, as those of
        interleaved repetitions and echoes do; on a grid of the same size and step.
        """
        return self._sampling(acquired)[0].image(kspace)

    def spectrum(self, acquired: Acquired | None = None) -> Spectrum:
        """How the image's noise is correlated."""
        return self._sampling(acquired)[1]

    def _sampling(self, acquired: Acquired | None) -> tuple[Combiner, Spectrum]:
        acquired = acquired or self.acquired
        if acquired not in self._samplings:
            if len(self._samplings) == MOST_SAMPLINGS:
                self._samplings.clear()
            base, grid, scale = self._combiner, acquired.grid, acquired.scale
            same = (base.grid, base.scale) == (grid, scale)
            self._samplings[acquired] = (base if same else base.moved(scale, grid)), acquired.spectrum()
        return self._samplings[acquired]
