"""What the values of a manifest may be, each by itself and with the others. All raise ValueError of one line."""

import math

from .manifest_fields import Manifest
from .manifest_values import expect, shown

LARGEST_DIVISOR = 1024  # images are padded to multiples of it
LARGEST_PATCH = 4096
MOST_PIXELS = 1 << 24  # of a patch, all of its frames: a network's features take a hundred times their memory
LONGEST_NAME = 200  # characters of the texts that go into every image
MOST_FRAMES = 1024
MOST_CHANNELS = 1 << 16  # of a cell's past

SUPPORTED = {
    "format": ("onnx", "torchscript"),
    "input": ("complex_gmap", "magnitude_gmap", "magnitude_slices"),
    "scale": ("snr_units", "normalised_magnitude"),
}
CHANNELS = {"complex_gmap": "B,3,", "magnitude_gmap": "B,2,", "magnitude_slices": "B,"}
NONE = "none"
LETTERS = {"time": "T", "slice": "TS", "depth": "TD"}


def check_values(manifest: Manifest) -> None:
    """Whether the values are supported and go together."""
    for key, values in SUPPORTED.items():
        if getattr(manifest, key) not in values:
            raise ValueError(f"{key} is {shown(getattr(manifest, key))}; supported: {', '.join(values)}")
    letters = LETTERS[manifest.frames[0]] if len(manifest.frames) == 1 else "T"
    layouts = [f"{CHANNELS[manifest.input]}{letter},H,W" for letter in letters]
    expect(manifest.layout in layouts, f"layout is {shown(manifest.layout)}", " or ".join(layouts))
    for key in ("name", "version", "file"):
        n_characters = len(getattr(manifest, key))
        expect(n_characters <= LONGEST_NAME, f"{key} has {n_characters} characters", f"at most {LONGEST_NAME}")
    alpha, divisor, reduction = manifest.default_alpha, manifest.divisor, manifest.noise_reduction
    expect(0 <= alpha <= 1, f"default_alpha is {alpha}", "0 to 1")
    expect(1 <= divisor <= LARGEST_DIVISOR, f"divisor is {shown(divisor)}", f"1 to {LARGEST_DIVISOR}")
    expect(reduction >= 0, f"noise_reduction is {reduction}", "0 or more")
    for key in ("snr_range", "gfactor_range"):
        low, high = getattr(manifest, key) or (1, 1)
        expect(0 < low <= high, f"{key} is {low} to {high}", "two numbers above 0, the lower one first")
    if manifest.test_vector is not None:
        tolerance = manifest.test_vector.tolerance
        expect(tolerance > 0, f"tolerance of test_vector is {tolerance}", "a number above 0")
    normalised = manifest.scale == "normalised_magnitude"
    expect(not normalised or manifest.input == "magnitude_slices", f"scale of {manifest.input} is {manifest.scale}",
           "snr_units, for the g-map has no other")  # fmt: skip
    expect(not manifest.tensorrt or manifest.format == "onnx", f"tensorrt is for {manifest.format}", "onnx")
    _check_frames(manifest)
    _check_patch(manifest)
    _check_past(manifest)


def axes_of(named: tuple[str, ...]) -> tuple[str, ...]:
    """`Manifest.frames` of what `frames` of manifest.json names: empty for `none`."""
    if named == (NONE,):
        return ()
    for axis in named:
        if axis not in (NONE, *LETTERS):
            raise ValueError(f"frames is {shown(axis)}; supported: {', '.join((NONE, *LETTERS))}")
    alone = NONE not in named and len(named) == len(set(named)) > 0
    expect(alone, f"frames is {shown(list(named))}", f"{NONE}, or some of {', '.join(LETTERS)}, each once")
    return named


def _check_frames(manifest: Manifest) -> None:
    n_frames, frames = manifest.n_frames, manifest.frames
    expect(0 <= n_frames <= MOST_FRAMES, f"n_frames is {shown(n_frames)}", f"0, any, to {MOST_FRAMES}")
    if manifest.input == "magnitude_slices":
        expect(bool(frames), "frames is 'none' for magnitude_slices", "time, slice or depth")
        expect(n_frames >= 3 and n_frames % 2 == 1, f"n_frames of magnitude_slices is {n_frames}", "3, 5, 7 ...")
    elif not frames:
        expect(n_frames <= 1, f"n_frames is {n_frames} where frames is 'none'", "0 or 1")


def _check_patch(manifest: Manifest) -> None:
    patch, overlap = manifest.patch, manifest.overlap
    field = manifest.receptive_field
    expect(min(field) >= 0, f"receptive_field is {list(field)}", "0, unknown, or more")
    expect((patch is None) == (overlap is None), "only one of patch and overlap is given", "both or none")
    if patch is None or overlap is None:
        return
    expect(min(patch) >= 1 and max(patch) <= LARGEST_PATCH, f"patch is {list(patch)}", f"1 to {LARGEST_PATCH}")
    expect(math.prod(patch) <= MOST_PIXELS, f"patch is {list(patch)}", f"at most {MOST_PIXELS} pixels in all")
    pairs = list(zip(overlap, patch, strict=True))
    expect(all(0 <= o < p for o, p in pairs), f"overlap is {list(overlap)}", f"0 or more, below patch {list(patch)}")
    n_frames = 1 if not manifest.frames or manifest.input == "magnitude_slices" else manifest.n_frames
    expect(patch[0] == n_frames, f"T of patch is {patch[0]}", f"{n_frames}, as frames and n_frames say")
    divisor = manifest.divisor
    expect(not any(p % divisor for p in patch[1:]), f"patch is {list(patch)}", f"H, W in multiples of {divisor}")
    expect(all(o <= p - divisor for o, p in pairs[1:]), f"overlap is {list(overlap)}",
           f"H, W at least the divisor {divisor} below patch {list(patch)}")  # fmt: skip
    known = zip(field, overlap, patch, strict=True)
    expect(all(f <= o or o == p - 1 == 0 for f, o, p in known), f"overlap is {list(overlap)}",
           f"the receptive_field {list(field)} or more")  # fmt: skip


def _check_past(manifest: Manifest) -> None:
    past, window, divisor = manifest.past, manifest.window, manifest.divisor
    if not past:
        expect(window == 0, f"window is {shown(window)} without past", "both or none")
        return
    expect(window != 0, "past is given without window", "both or none")
    expect(2 <= window <= MOST_FRAMES, f"window is {shown(window)}", f"2 to {MOST_FRAMES}")
    expect(bool(manifest.frames), "past is given where frames is 'none'", f"some of {', '.join(LETTERS)}")
    expect(manifest.input != "magnitude_slices", "past is given for magnitude_slices", "an input with a g-map")
    fixed = "patch" if manifest.patch is not None else f"n_frames {manifest.n_frames}" if manifest.n_frames else ""
    expect(not fixed, f"past is given beside {fixed}", "a network for any number of frames, of any size")
    for channels, step in past:
        expect(1 <= channels <= MOST_CHANNELS, f"channels of past is {shown(channels)}", f"1 to {MOST_CHANNELS}")
        expect(step >= 1 and divisor % max(1, step) == 0, f"divisor of past is {shown(step)}",
               f"one of the model's divisor, {divisor}")  # fmt: skip
