"""What the values of a manifest may be, each by itself and with the others. All raise ValueError of one line."""

import math
from types import NoneType, UnionType
from typing import Any, get_args, get_origin

from .manifest_fields import Manifest

LARGEST_DIVISOR = 1024  # images are padded to multiples of it
LARGEST_PATCH = 4096
MOST_PIXELS = 1 << 24  # of a patch, all of its frames: a network's features take a hundred times their memory
LONGEST_NAME = 200  # characters of the texts that go into every image
MOST_FRAMES = 1024
LARGEST_NUMBER = 1e30
LONGEST_SHOWN = 100  # characters of a wrong value

SUPPORTED = {
    "format": ("onnx", "torchscript"),
    "input": ("complex_gmap", "magnitude_gmap", "magnitude_slices"),
    "frames": ("none", "time", "slice", "depth"),
    "scale": ("snr_units", "normalised_magnitude"),
}
CHANNELS = {"complex_gmap": "B,3,", "magnitude_gmap": "B,2,", "magnitude_slices": "B,"}
ACCEPTED: dict[type, tuple[type, ...]] = {str: (str,), int: (int,), bool: (bool,), float: (int, float)}
LETTERS = {"none": "T", "time": "T", "slice": "TS", "depth": "TD"}


def parse_value(value: Any, kind: Any, what: str) -> Any:
    """`value` of JSON as the type of a field: str, int, float, bool, dict, tuple of numbers, or None beside them.

    Raises
    ------
    ValueError
        It is of another type, or cannot be printed, or is no finite number.
    """
    kinds = get_args(kind) if isinstance(kind, UnionType) else (kind,)
    if value is None and NoneType in kinds:
        return None
    if get_origin(kinds[0]) is tuple:
        parts = get_args(kinds[0])
        if not isinstance(value, list) or len(value) != len(parts):
            raise ValueError(f"{what} is {_shown(value)}; expected a list of {len(parts)} numbers")
        return tuple(parse_value(part, part_kind, what) for part, part_kind in zip(value, parts, strict=True))
    accepted: tuple[type, ...] = ACCEPTED.get(kinds[0], (dict,))
    is_accepted = isinstance(value, accepted) and (kinds[0] is bool or not isinstance(value, bool))
    if not is_accepted:
        raise ValueError(f"{what} is {_shown(value)}; expected {accepted[-1].__name__}")
    if isinstance(value, str) and not value.isprintable():
        raise ValueError(f"{what} is {_shown(value)}; expected printable characters")
    if kinds[0] is float and not abs(value) < LARGEST_NUMBER:
        raise ValueError(f"{what} is {_shown(value)}; expected a finite number")
    return value


def check_values(manifest: Manifest) -> None:
    """Whether the values are supported and go together."""
    for key, values in SUPPORTED.items():
        if getattr(manifest, key) not in values:
            raise ValueError(f"{key} is {_shown(getattr(manifest, key))}; supported: {', '.join(values)}")
    layouts = [f"{CHANNELS[manifest.input]}{letter},H,W" for letter in LETTERS[manifest.frames]]
    _expect(manifest.layout in layouts, f"layout is {_shown(manifest.layout)}", " or ".join(layouts))
    for key in ("name", "version", "file"):
        n_characters = len(getattr(manifest, key))
        _expect(n_characters <= LONGEST_NAME, f"{key} has {n_characters} characters", f"at most {LONGEST_NAME}")
    alpha, divisor, reduction = manifest.default_alpha, manifest.divisor, manifest.noise_reduction
    _expect(0 <= alpha <= 1, f"default_alpha is {alpha}", "0 to 1")
    _expect(1 <= divisor <= LARGEST_DIVISOR, f"divisor is {_shown(divisor)}", f"1 to {LARGEST_DIVISOR}")
    _expect(reduction >= 0, f"noise_reduction is {reduction}", "0 or more")
    for key in ("snr_range", "gfactor_range"):
        low, high = getattr(manifest, key) or (1, 1)
        _expect(0 < low <= high, f"{key} is {low} to {high}", "two numbers above 0, the lower one first")
    if manifest.test_vector is not None:
        tolerance = manifest.test_vector.tolerance
        _expect(tolerance > 0, f"tolerance of test_vector is {tolerance}", "a number above 0")
    normalised = manifest.scale == "normalised_magnitude"
    _expect(not normalised or manifest.input == "magnitude_slices", f"scale of {manifest.input} is {manifest.scale}",
            "snr_units, for the g-map has no other")  # fmt: skip
    _expect(not manifest.tensorrt or manifest.format == "onnx", f"tensorrt is for {manifest.format}", "onnx")
    _check_frames(manifest)
    _check_patch(manifest)


def _check_frames(manifest: Manifest) -> None:
    n_frames, frames = manifest.n_frames, manifest.frames
    _expect(0 <= n_frames <= MOST_FRAMES, f"n_frames is {_shown(n_frames)}", f"0, any, to {MOST_FRAMES}")
    if manifest.input == "magnitude_slices":
        _expect(frames != "none", "frames is 'none' for magnitude_slices", "time, slice or depth")
        _expect(n_frames >= 3 and n_frames % 2 == 1, f"n_frames of magnitude_slices is {n_frames}", "3, 5, 7 ...")
    elif frames == "none":
        _expect(n_frames <= 1, f"n_frames is {n_frames} where frames is 'none'", "0 or 1")


def _check_patch(manifest: Manifest) -> None:
    patch, overlap = manifest.patch, manifest.overlap
    field = manifest.receptive_field
    _expect(min(field) >= 0, f"receptive_field is {list(field)}", "0, unknown, or more")
    _expect((patch is None) == (overlap is None), "only one of patch and overlap is given", "both or none")
    if patch is None or overlap is None:
        return
    _expect(min(patch) >= 1 and max(patch) <= LARGEST_PATCH, f"patch is {list(patch)}", f"1 to {LARGEST_PATCH}")
    _expect(math.prod(patch) <= MOST_PIXELS, f"patch is {list(patch)}", f"at most {MOST_PIXELS} pixels in all")
    pairs = list(zip(overlap, patch, strict=True))
    _expect(all(0 <= o < p for o, p in pairs), f"overlap is {list(overlap)}", f"0 or more, below patch {list(patch)}")
    n_frames = 1 if manifest.frames == "none" or manifest.input == "magnitude_slices" else manifest.n_frames
    _expect(patch[0] == n_frames, f"T of patch is {patch[0]}", f"{n_frames}, as frames and n_frames say")
    divisor = manifest.divisor
    _expect(not any(p % divisor for p in patch[1:]), f"patch is {list(patch)}", f"H, W in multiples of {divisor}")
    _expect(all(o <= p - divisor for o, p in pairs[1:]), f"overlap is {list(overlap)}",
            f"H, W at least the divisor {divisor} below patch {list(patch)}")  # fmt: skip
    known = zip(field, overlap, patch, strict=True)
    _expect(all(f <= o or o == p - 1 == 0 for f, o, p in known), f"overlap is {list(overlap)}",
            f"the receptive_field {list(field)} or more")  # fmt: skip


def _expect(condition: bool, found: str, expected: str) -> None:
    if not condition:
        raise ValueError(f"{found}; expected {expected}")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]} ..."
