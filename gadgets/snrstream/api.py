"""The public API: raw data in, images in SNR units out, in this process."""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

import ismrmrd

from .chain.chain import Chain, parse_chain
from .chain.pipelines import chain_file, named_chain, read_configuration
from .chain.registry import known_gadgets
from .errors import ConfigurationError, ScanError
from .hosts.openrecon import with_properties
from .hosts.scan_source import RawScan, open_scan
from .items import Item, ReconImage
from .system.resources import DEFAULT_PIPELINE
from .system.threads import limited_threads

__all__ = ["RawScan", "chosen_chain", "iter_images", "only_images", "open_scan", "reconstruct"]

Image = TypeVar("Image", ismrmrd.Image, ReconImage)

NO_SETTINGS: Mapping[str, object] = MappingProxyType({})


def reconstruct(
    scan: str | Path | RawScan,
    pipeline: str | Path = DEFAULT_PIPELINE,
    *,
    settings: Mapping[str, object] = NO_SETTINGS,
    gadgets: str | Path | None = None,
    group: str | None = None,
) -> list[ReconImage]:
    """Reconstruct raw data by a pipeline, up to the images as they are before they are scaled for consoles and files.

    A noise measurement in the scan is kept by the scan's id for later ones, as at the scanner. Meanwhile torch, OpenMP
    and BLAS use one thread each, and calibration all cores; afterwards they use as many as before. Where the scan
    fails, nothing is returned: `iter_images` gives the images that were finished before.

    Parameters
    ----------
    scan : str, Path or RawScan
        The path of raw data, see `open_scan`, or an opened scan, which stays open.
    pipeline : str or Path
        The name of a shipped pipeline, or the path of an XML file.
    settings : mapping of str to object
        Properties of the pipeline's gadgets in place of its own, such as ``{"alpha": 0.5}``.
    gadgets : str, Path or None
        A folder with gadgets of your own, which the pipeline may name.
    group : str or None
        The group of an HDF5 file that holds the scan; by default `dataset`, or the only one that holds any.

    Returns
    -------
    list of ReconImage
        In the order in which they are made; each original is followed by its denoised image where there is one. Of
        each, ``image`` is complex64 `(e2, e1, ro)` in SNR units, that is with noise of SD ``gmap`` in the real and in
        the imaginary part, and ``gmap`` is float32 of the same shape. Both have the axes of k-space,
        which `image_finish` brings along the directions of ``head``. Empty for a noise measurement that is only kept.

    Raises
    ------
    SnrstreamError
        For a scan, pipeline, setting or model that cannot be used, by its kind, see `snrstream.errors`.
    """
    chain = _up_to_images(scan, pipeline, settings, gadgets)
    with limited_threads(1):
        return list(_images(chain, scan, pipeline, group))


def iter_images(
    scan: str | Path | RawScan,
    pipeline: str | Path = DEFAULT_PIPELINE,
    *,
    settings: Mapping[str, object] = NO_SETTINGS,
    gadgets: str | Path | None = None,
    group: str | None = None,
) -> Iterator[ReconImage]:
    """As `reconstruct`, but each image as soon as it is made: what was finished before a failure is not lost.

    Parameters
    ----------
    scan, pipeline, settings, gadgets, group
        As for `reconstruct`.

    Returns
    -------
    iterator of ReconImage
        The scan is opened as the first one is asked for, and read as far as the next one needs.

    Raises
    ------
    SnrstreamError
        At once for the pipeline and its settings. Where the scan fails, behind the images that it gives.
    """
    chain = _up_to_images(scan, pipeline, settings, gadgets)
    images = _images(chain, scan, pipeline, group)

    def limited() -> Iterator[ReconImage]:
        while True:
            with limited_threads(1):
                image = next(images, None)
            if image is None:
                return
            yield image

    return limited()


def _up_to_images(
    scan: object, pipeline: str | Path, settings: Mapping[str, object], gadgets: str | Path | None
) -> Chain:
    """The gadgets ahead of `image_finish`, for arguments that can be used."""
    chain = chosen_chain(pipeline, settings, gadgets)
    steps = tuple(itertools.takewhile(lambda step: step[0] != "image_finish", chain.steps))
    if not steps:
        raise ConfigurationError(
            f"pipeline {pipeline} has no gadget before image_finish; expected some that make images"
        )
    if not isinstance(scan, (str, Path)) and not callable(getattr(scan, "items", None)):
        raise ScanError(f"scan is of {type(scan)}; expected a path, or what open_scan gives")
    return replace(chain, steps=steps)


def chosen_chain(
    pipeline: str | Path, settings: Mapping[str, object] = NO_SETTINGS, gadgets: str | Path | None = None
) -> Chain:
    """The chain of a pipeline that the user chose, with properties as the user set them.

    Parameters
    ----------
    pipeline : str or Path
    settings : mapping of str to object
    gadgets : str, Path or None
        All as `reconstruct` takes them.

    Raises
    ------
    ConfigurationError
        For a pipeline that is not there or cannot be read, a property that no gadget has, and a value that it cannot
        take.
    """
    for what, value in (("pipeline", pipeline), ("gadgets", "" if gadgets is None else gadgets)):
        if not isinstance(value, (str, Path)):
            raise ConfigurationError(f"{what} is of {type(value)}; expected a text or a Path")
    wrong = [settings] if not isinstance(settings, Mapping) else [key for key in settings if not isinstance(key, str)]
    if wrong:
        raise ConfigurationError(f"settings are, or are named by, {type(wrong[0])}; expected {{'alpha': 0.5}} or alike")
    name, known = str(pipeline), known_gadgets(gadgets)
    file = chain_file(name)
    chain = named_chain(name, known) if file is None else parse_chain(read_configuration(file), file.name, known)
    return with_properties(chain, name, settings)


def only_images(kind: type[Image], items: Iterable[Item], pipeline: str | Path) -> Iterator[Image]:
    """What leaves a chain as images of a kind. Waveforms stay behind, for there is no place for them.

    Parameters
    ----------
    kind : type
        The class of the images.
    items : iterable of Item
        Of a chain.
    pipeline : str or Path
        What the chain is called.

    Raises
    ------
    ScanError
        For anything else.
    """
    for item in items:
        if isinstance(item, kind):
            yield item
        elif not isinstance(item, ismrmrd.Waveform):
            found = type(item).__name__
            raise ScanError(f"pipeline {pipeline} lets {found}s pass; expected the gadget accumulate in it")


def _images(chain: Chain, scan: str | Path | RawScan, pipeline: str | Path, group: str | None) -> Iterator[ReconImage]:
    if isinstance(scan, (str, Path)):
        with open_scan(scan, group) as opened:
            yield from _images(chain, opened, pipeline, None)
        return
    if group is not None:
        raise ScanError(f"group is {group[:100]!r} for a scan that is open; expected it with the path of a file")
    yield from only_images(ReconImage, chain.run(scan.items(), scan.header), pipeline)
