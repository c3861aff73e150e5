"""A training run's settings: one flat file, overridable as `key=value`.

Which networks, optimisers and file formats there are is not known here: `snrtrain.run.registries` asks those that have
them.
"""

import math
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from typing import Any, get_args, get_origin

from snrstream.errors import ConfigurationError
from snrstream.system.resources import LONGEST_NAME, is_plain_name
from snrtrain import toml_file

CHOICES = {
    "method": ("snraware", "sn2n"),
    "inputs": ("complex_gmap", "magnitude_gmap", "magnitude_slices"),
    "frames": ("none", "time", "slice", "any"),
    "precision": ("float32", "bfloat16"),
    "validated_by": ("white", "filtered"),
}
POSITIVE = (
    "n_frames", "sigma_max", "amplitude_min", "amplitude_max", "patch", "batch", "steps", "learning_rate", "clip",
    "epsilon", "charbonnier_epsilon", "validate_every", "n_validation",
)  # fmt: skip
NOT_NEGATIVE = ("weight_decay", "perpendicular_weight", "gradient_weight", "patience")
SHARES = ("p_causal", "p_white", "p_gaussian", "p_partial_fourier", "p_resolution", "p_own", "p_uniform_g", "warmup")
LARGEST_SEED = 2**32 - 1  # others are derived from it, and torch takes 64 bits


@dataclass(frozen=True)
class Recipe:
    """All settings of `tools/train.py`. What a recipe leaves out has the value that stands here.

    name: of the model. method, inputs, frames, precision: see `CHOICES`. network: see `snrtrain.networks`. optimiser:
    `adamw` or `muon`. format: of the model file, `onnx` or `torchscript`.
    frames: `any` is one network for single images, series, stacks of slices and volumes.
    n_frames: that the network sees together; 1 for `none`, an odd number of slices for `magnitude_slices`, for `any`
    the most that a batch of the training has. window: for `any`, attention looks no further than window - 1 frames
    away; 0 for all others. p_causal: share of the batches, and for `any` alone, in which a frame sees none after it.
    widths, depths, cells: channels, number of cells and their kind on each level of the network, finest first; the last
    cell of `conv+cnnt` is `cnnt`.
    sigma_max: of the noise process. p_white: share of patches without a k-space filter. p_gaussian,
    p_partial_fourier, p_resolution: of the others, probability of each filter along each direction. p_own: share that
    keeps the noise of its own reconstruction. p_uniform_g: share of the others with g = 1. amplitude_min,
    amplitude_max: bright tissue in SNR units before the noise process divides it. gmap_known: whether the network reads
    the g-map, or takes it for 1.
    patch: edge in pixels. batch: patches a step, over all processes. betas, epsilon: of Adam's two averages, and under
    its root; Muon takes Adam's steps for biases and norms alone. clip: of the gradient's norm. ema: decay of the
    average of the weights. compile: network and loss into one program, by torch; for a GPU. charbonnier_epsilon: in
    noise SDs. validate_every: steps. n_validation: scans.
    validated_by: noise under which the best network and alpha are chosen: `white`, what the scanner's pipeline leaves,
    or `filtered`, the noise process with all of it filtered; both are told.
    patience: validations without a better one after which the run ends early; 0 never does.
    """

    name: str
    method: str
    network: str
    inputs: str
    seed: int = 1
    frames: str = "none"
    n_frames: int = 1
    window: int = 0
    p_causal: float = 0.0
    widths: tuple[int, ...] = (64, 96, 160)
    depths: tuple[int, ...] = (1, 1, 2)
    cells: tuple[str, ...] = ("conv", "conv", "conv")
    sigma_max: float = 32.0
    p_white: float = 0.5
    p_gaussian: float = 0.5
    p_partial_fourier: float = 0.5
    p_resolution: float = 0.5
    p_own: float = 0.2
    p_uniform_g: float = 0.4
    amplitude_min: float = 50.0
    amplitude_max: float = 500.0
    gmap_known: bool = True
    patch: int = 64
    batch: int = 16
    steps: int = 5000
    trained: tuple[str, ...] = ()
    optimiser: str = "adamw"
    learning_rate: float = 1.2e-3
    warmup: float = 0.05
    weight_decay: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.99)  # short runs: 0.999 averages over more steps than they have
    epsilon: float = 1e-8
    clip: float = 1.0
    ema: float = 0.999
    precision: str = "float32"
    compile: bool = False
    charbonnier_epsilon: float = 0.5
    perpendicular_weight: float = 0.1
    gradient_weight: float = 0.1
    validate_every: int = 250
    n_validation: int = 48
    validated_by: str = "white"
    patience: int = 0
    format: str = "onnx"

    def __post_init__(self) -> None:
        for key, words in CHOICES.items():
            expect(getattr(self, key) in words, key, getattr(self, key), f"one of {', '.join(words)}")
        for key in POSITIVE:
            expect(0 < getattr(self, key) < math.inf, key, getattr(self, key), "a number above 0")
        for key in NOT_NEGATIVE:
            expect(0 <= getattr(self, key) < math.inf, key, getattr(self, key), "a number of 0 or more")
        for key in SHARES:
            expect(0 <= getattr(self, key) <= 1, key, getattr(self, key), "0 to 1")
        expect(self.amplitude_max >= self.amplitude_min, "amplitude_max", self.amplitude_max,
                f"amplitude_min, {self.amplitude_min:g}, or more")  # fmt: skip
        expect(len(self.betas) == 2 and all(0 <= beta < 1 for beta in self.betas), "betas", self.betas,
                "two numbers of 0 to below 1")  # fmt: skip
        expect(0 <= self.ema < 1, "ema", self.ema, "0 to below 1")
        expect(0 <= self.seed <= LARGEST_SEED, "seed", self.seed, f"0 to {LARGEST_SEED}")
        expect(is_plain_name(self.name), "name", self.name,
                f"letters, digits, '_', '-' and single '.', {LONGEST_NAME} at most: it becomes a folder's")  # fmt: skip
        expect(all(self.trained), "trained", ",".join(self.trained), "parts of weights' names, none of them empty")
        slices = self.inputs == "magnitude_slices"
        expect(slices == (self.method == "sn2n"), "inputs", self.inputs, "magnitude_slices for sn2n, and for it alone")
        expect(self.n_frames == 1 or self.frames != "none", "n_frames", self.n_frames, "1, for frames is none")
        anything = self.frames == "any"
        expect(self.window > 1 if anything else self.window == 0, "window", self.window,
               "2 or more, for frames is any" if anything else "0, unless frames is any")  # fmt: skip
        expect(anything or self.p_causal == 0, "p_causal", self.p_causal, "0, unless frames is any")


def load(path: Path, overrides: list[str]) -> Recipe:
    """The recipe in a TOML file with `key=value` settings applied over it; lists are values with commas.

    Raises ConfigurationError for a missing or malformed file, an unknown or missing key, and a wrong value.
    """
    settings = toml_file.read(path, f"recipe {path}", "flat TOML") | _parsed(overrides)
    known = {field.name: field for field in fields(Recipe)}
    unknown = sorted(set(settings) - set(known))
    if unknown:
        raise ConfigurationError(f"unknown setting {', '.join(unknown)}; known: {', '.join(known)}")
    missing = [name for name, field in known.items() if field.default is MISSING and name not in settings]
    if missing:
        raise ConfigurationError(f"recipe {path} lacks {', '.join(missing)}")
    return Recipe(**{name: _typed(name, value, known[name].type) for name, value in settings.items()})


def lengthened(recipe: Recipe, overrides: list[str]) -> Recipe:
    """The recipe of a run that is to go on, with another number of steps where `overrides` is `steps=N`.

    Raises ConfigurationError for any other setting: it would be another run.
    """
    settings = _parsed(overrides)
    if settings.keys() - {"steps"}:
        raise ConfigurationError(f"got {', '.join(overrides)} for a run that goes on; expected steps=N alone")
    return replace(recipe, **{key: _typed(key, text, int) for key, text in settings.items()})


def restored(settings: dict[str, Any]) -> Recipe:
    """The recipe that a checkpoint carries, as `dataclasses.asdict` made it. Raises ConfigurationError."""
    kinds = {field.name: field.type for field in fields(Recipe)}
    try:
        return Recipe(**{key: _typed(key, value, kinds.get(key, object)) for key, value in settings.items()})
    except (TypeError, AttributeError) as error:
        raise ConfigurationError(f"the checkpoint's recipe is of another version of train.py: {error}") from None


def _parsed(overrides: list[str]) -> dict[str, str]:
    """`key=value` texts as a mapping. Raises ConfigurationError for others."""
    settings = {}
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator:
            raise ConfigurationError(f"setting {override!r} is not of the form key=value")
        settings[key] = text
    return settings


def _typed(name: str, value: object, kind: Any) -> Any:
    try:
        if get_origin(kind) is tuple:
            parts = value.split(",") if isinstance(value, str) else value
            if not isinstance(parts, list | tuple):
                raise ValueError
            return tuple(_typed(name, part, get_args(kind)[0]) for part in parts)
        if kind is object:
            return value
        if kind is bool:
            return {"true": True, "false": False}[str(value).lower()]
        if (
            isinstance(value, bool)
            or (kind is int and isinstance(value, float))
            or (kind is str and not isinstance(value, str))
        ):
            raise ValueError
        return kind(value)
    except (TypeError, ValueError, KeyError, OverflowError):
        words = "a list" if get_origin(kind) is tuple else kind.__name__
        raise ConfigurationError(f"setting {name} is {value!r}; expected {words}") from None


def expect(condition: bool, key: str, found: object, expected: str) -> None:
    """Raises ConfigurationError, naming the setting `key`, unless the condition holds."""
    if not condition:
        raise ConfigurationError(f"setting {key} is {found!r}; expected {expected}")
