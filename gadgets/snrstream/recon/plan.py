"""The whole reconstruction: calibrate, maps, unmixing, g, combine. Here alone they meet.

In a notebook, from prewhitened k-space (see `noise.prewhitening_matrix`) to an image, its g-map and its SNR:

>>> from snrstream.recon.plan import Acquired, Lattice, Plan
>>> acquired = Acquired.of(sampled, Lattice((3, 1)), n_ro=kspace.shape[-1])
>>> plan = Plan.of(acs, start, acquired)
>>> image, gmap = plan.image(kspace), plan.gmap
>>> snr = image.abs() / gmap

kspace: `(channel, e2, e1, ro)` complex64, here every third line, zero elsewhere; a slice has one e2. sampled: which
lines these are, `(e2, e1)` bool. acs: contiguous calibration lines with the axes of `kspace`, the first of which has
the index `start` (e2, e1). The noise SD of the image is g per real and imaginary part.
"""

import math
from dataclasses import dataclass, field

from torch import Tensor

from .acquired import Acquired
from .coil_maps import calibration_images
from .combine import Combiner
from .fft import to_image
from .grappa import Kernel, calibrate
from .lattice import Lattice
from .options import KERNEL, MAPS, KernelOptions, MapOptions
from .spectrum import Spectrum
from .unmixing import gfactor, unmixing_coefficients

__all__ = [
    "KERNEL",
    "MAPS",
    "Acquired",
    "KernelOptions",
    "Lattice",
    "MapOptions",
    "Plan",
    "fit_kernel",
    "maps_of_calibration",
    "unmixed",
]

MOST_SAMPLINGS = 64  # whose coefficients a plan keeps


def fit_kernel(
    acs: Tensor,
    start: tuple[int, int],
    size: tuple[int, int],
    lattice: Lattice,
    options: KernelOptions = KERNEL,
) -> Kernel:
    """The GRAPPA kernel of calibration lines, regularised as `options` have it.

    Parameters
    ----------
    acs : Tensor
        `(channel, e2, e1, ro)` complex64, contiguous lines.
    start : tuple of int
        Index (e2, e1) of the first of them in k-space.
    size : tuple of int
        Lines (e2, e1) of k-space, with k = 0 at size // 2.
    lattice : Lattice
        The sampling whose missing lines are to be made, with acceleration.
    options : KernelOptions
        Size and regularisation.

    Raises
    ------
    ScanError
        Where there are too few lines or samples for one window, and where the calibration data is zero or not finite.
    """
    return calibrate(
        acs,
        lattice,
        n_lines=options.n_lines,
        n_samples=options.n_samples,
        n_partitions=options.n_partitions,
        tikhonov=options.tikhonov,
        centre=(size[0] // 2 - start[0], size[1] // 2 - start[1]),
    )


def maps_of_calibration(
    acs: Tensor,
    start: tuple[int, int],
    size: tuple[int, int],
    options: MapOptions = MAPS,
    reference: Tensor | None = None,
) -> Tensor:
    """Coil maps from calibration lines.

    Parameters
    ----------
    acs, start, size
        As `fit_kernel` takes them.
    options : MapOptions
        How they are found.
    reference : Tensor, optional
        `(channel,)` complex64: what their phase is referred to; by default what `options` takes of `acs`.

    Returns
    -------
    Tensor
        csm: `(channel, e2, e1, ro)` complex64, with sum |csm|^2 = 1 in every pixel.
    """
    reference = options.reference(acs) if reference is None else reference
    return options.finder(reference)(calibration_images(to_image(acs, dims=(-1,)), start, size))


def unmixed(
    csm: Tensor, kernel: Kernel | None, first_column: int = 0, n_ro: int | None = None
) -> tuple[Tensor, Tensor]:
    """Unmixing coefficients of coil maps, and their g-map.

    Parameters
    ----------
    csm : Tensor
        `(channel, e2, e1, ro)` complex64, of unit norm in every pixel.
    kernel : Kernel or None
        None without acceleration.
    first_column : int
        Where the pixels of `csm` begin along the readout, if they are not all of it.
    n_ro : int, optional
        Pixels of all of the readout; by default those of `csm`.

    Returns
    -------
    unmixing : Tensor
        `(channel, e2, e1, ro)` complex64.
    gmap : Tensor
        `(e2, e1, ro)` float32.
    """
    unmixing = unmixing_coefficients(kernel, csm, first_column, n_ro)
    return unmixing, gfactor(unmixing, math.prod(kernel.lattice.acceleration) if kernel is not None else 1)


@dataclass(frozen=True, eq=False)
class Plan:
    """What images that share kernel and coil maps have in common: made once, for any number of frames.

    Made by `Plan.of`, `Plan.of_image` or `Plan.with_maps`.

    Attributes
    ----------
    gmap : Tensor
        `(e2, e1, ro)` float32, the SD of the images' noise.
    acquired : Acquired
        What `image` takes k-space to hold.
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
        reference: Tensor | None = None,
    ) -> "Plan":
        """From calibration lines.

        Parameters
        ----------
        acs : Tensor
            `(channel, e2, e1, ro)` complex64, prewhitened, contiguous lines.
        start : tuple of int
            Index (e2, e1) of the first of them in k-space.
        acquired : Acquired
            Where k-space is sampled.
        kernel : Kernel, optional
            Fitted with the default options where it is needed and not given.
        maps : MapOptions
            How coil maps are found.
        reference : Tensor, optional
            `(channel,)` complex64: what their phase is referred to, see `MapOptions.reference`. Images of plans with
            the same reference have comparable phases.

        Raises
        ------
        ScanError
            As `fit_kernel` does.
        """
        size, lattice = acquired.grid.size, acquired.lattice
        if kernel is None and lattice.acceleration != (1, 1):
            kernel = fit_kernel(acs, start, size, lattice)
        return cls.with_maps(maps_of_calibration(acs, start, size, maps, reference), acquired, kernel)

    @classmethod
    def of_image(
        cls, kspace: Tensor, acquired: Acquired, maps: MapOptions = MAPS, reference: Tensor | None = None
    ) -> "Plan":
        """From an image without acceleration: by maps of its own.

        Parameters
        ----------
        kspace : Tensor
            `(channel, e2, e1, ro)` complex64, prewhitened, all of its lines.
        acquired : Acquired
            Without acceleration.
        maps : MapOptions
            How coil maps are found.
        reference : Tensor, optional
            As `of` takes it.

        Raises
        ------
        ValueError
            Where `acquired` has acceleration.
        """
        if acquired.lattice.acceleration != (1, 1):
            raise ValueError(
                f"k-space is sampled at {acquired.lattice}; expected no acceleration, or calibration lines"
            )
        reference = maps.reference(kspace) if reference is None else reference
        return cls.with_maps(maps.finder(reference)(to_image(kspace, dims=(1, 2, 3))), acquired)

    @classmethod
    def with_maps(cls, csm: Tensor, acquired: Acquired, kernel: Kernel | None = None) -> "Plan":
        """By given coil maps.

        Parameters
        ----------
        csm : Tensor
            `(channel, e2, e1, ro)` complex64, with sum |csm|^2 = 1 in every pixel.
        acquired : Acquired
            Where k-space is sampled.
        kernel : Kernel, optional
            None without acceleration.
        """
        unmixing, gmap = unmixed(csm, kernel)
        return cls(gmap, acquired, Combiner.plan(unmixing, acquired.scale, acquired.grid))

    def image(self, kspace: Tensor, acquired: Acquired | None = None) -> Tensor:
        """The image of one frame.

        Parameters
        ----------
        kspace : Tensor
            `(channel, stored e2, stored e1, ro)` complex64, prewhitened.
        acquired : Acquired, optional
            Where this k-space differs from what the plan was made for in lines, averages or samples, as those of
            interleaved repetitions and echoes do; on a grid of the same size and step.

        Returns
        -------
        Tensor
            `(e2, e1, ro)` complex64 in SNR units.

        Raises
        ------
        ValueError
            Where the grid of `acquired` has another size or step.
        """
        return self._sampling(acquired)[0].image(kspace)

    def spectrum(self, acquired: Acquired | None = None) -> Spectrum:
        """How the image's noise is correlated.

        Parameters
        ----------
        acquired : Acquired, optional
            As `image` takes it.
        """
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
