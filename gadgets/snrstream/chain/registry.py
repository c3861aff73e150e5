"""The gadgets that a configuration may name, and their order in a stream: the one place that knows both."""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ismrmrd

from ..errors import ConfigurationError
from ..gadgets.gadget import GadgetModule
from ..items import Bucket, ReconImage
from .own_gadgets import OwnGadget, of_entry_points, of_folder

# In the order of the stream, with the kind of item that each takes.
BUILT_IN_GADGETS: dict[str, type[Any]] = {
    "noise_adjust": ismrmrd.Acquisition,
    "epi": ismrmrd.Acquisition,
    "accumulate": ismrmrd.Acquisition,
    "compress_channels": Bucket,
    "grappa": Bucket,
    "taper": Bucket,
    "coil_combine": Bucket,
    "partial_fourier": ReconImage,
    "kspace_filter": ReconImage,
    "denoise": ReconImage,
    "resize": ReconImage,
    "image_finish": ReconImage,
}
# From acquired lines to images, with the properties that these then have.
COMPLETION: dict[str, dict[str, Any]] = {
    "grappa": {},
    "coil_combine": {},
    "image_finish": {"output": "complex", "axes": "kspace"},
}

_ORDER = tuple(BUILT_IN_GADGETS)


@dataclass(frozen=True)
class Registry:
    """The gadgets that configurations may name: those of snrstream, and own ones between them.

    Attributes
    ----------
    own : tuple of OwnGadget
        Gadgets of the user's, of entry points and a folder.
    """

    own: tuple[OwnGadget, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All names, each own gadget behind the one that it follows."""
        return tuple(
            name for known in _ORDER for name in (known, *(gadget.name for gadget in self.own if gadget.after == known))
        )

    def module(self, name: str) -> GadgetModule:
        """The gadget's module; one of snrstream is imported when it is first used, for torch is slow to load."""
        own = self._own(name)
        return own if own is not None else importlib.import_module(f"snrstream.gadgets.{name}")

    def takes(self, name: str) -> type[Any]:
        """The kind of item that the gadget works on; for an own one, what leaves the gadget that it follows."""
        own = self._own(name)
        if own is None:
            return BUILT_IN_GADGETS[name]
        return next((BUILT_IN_GADGETS[later] for later in _later(own.after)), ismrmrd.Image)

    def require_order(self, names: Sequence[str], source: str) -> None:
        """Require each of the gadgets at most once, in the order of the stream.

        Own gadgets that follow the same one may stand in any order. Raises ConfigurationError that names `source`.
        """
        places = [self._place(name) for name in names]
        if len(set(names)) < len(names) or places != sorted(places):
            raise ConfigurationError(
                f"{source} has the gadgets {', '.join(names[:20])}; expected each at most once, in this order: "
                f"{', '.join(self.names)}"
            )

    def completion(self, last: str) -> tuple[str, ...]:
        """The gadgets that make complex images of what the gadget `last` hands on; acquisitions may leave as such."""
        own = self._own(last)
        last = last if own is None else own.after
        return () if last in ("noise_adjust", "epi") else tuple(name for name in _later(last) if name in COMPLETION)

    def _own(self, name: str) -> OwnGadget | None:
        return next((gadget for gadget in self.own if gadget.name == name), None)

    def _place(self, name: str) -> tuple[int, bool]:
        own = self._own(name)
        return _ORDER.index(name if own is None else own.after), own is not None


BUILT_IN = Registry()


def known_gadgets(folder: str | Path | None = None) -> Registry:
    """Find the gadgets of this installation.

    Parameters
    ----------
    folder : str, Path or None
        Holds own gadgets, each a Python file that bears the gadget's name.

    Returns
    -------
    Registry
        The gadgets of snrstream, of installed entry points (group `snrstream.gadgets`) and of the folder.

    Raises
    ------
    ConfigurationError
        For a folder that cannot be read, and an own gadget that cannot be used: one that cannot be imported, lacks
        `Parameters`, `start` or `AFTER`, or has the name of another.
    """
    found = [*of_entry_points(_ORDER), *(() if folder is None else of_folder(Path(folder), _ORDER))]
    origins = dict.fromkeys(_ORDER, "snrstream")
    for gadget in found:
        if gadget.name in origins:
            raise ConfigurationError(
                f"own gadget {gadget.name} of {gadget.origin} has the name of one of {origins[gadget.name]}; "
                "expected a name of its own"
            )
        origins[gadget.name] = gadget.origin
    return Registry(tuple(found))


def _later(name: str) -> tuple[str, ...]:
    return _ORDER[_ORDER.index(name) + 1 :]
