"""How many patches a second a recipe is trained on, and how much of that time its batches take."""

import functools
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from snrtrain import networks
from snrtrain.archive.archive import AXES, Entry
from snrtrain.benchmarks.timing import Row, seconds
from snrtrain.methods.batch import Batch, Method
from snrtrain.methods.snraware import Snraware
from snrtrain.recipe import Recipe
from snrtrain.run.descent import Descent
from snrtrain.run.feed import batches
from snrtrain.run.processes import Processes

N_ROUNDS = 3
WARM = 3  # steps: a compiler, and a GPU's memory, want them
WANTED = 20_000  # patches of 96 x 96 a second on a GPU, of the default network
MOST_WAITING = 0.1
SHAPE, N_ENTRIES, N_GMAPS = (256, 224), 16, 8
STEPS = {"cpu": 2, "cuda": 50}  # of a round
GIGA, TERA = 1e9, 1e12


def rows(
    recipe: Recipe, method: Method, processes: Processes, n_steps: int | None = None, n_workers: int = 0
) -> list[Row]:
    """Steps of `recipe`, rounds of them in turn with rounds of steps whose batch is already there.

    n_steps: of a round; None: as many as take a few seconds. n_workers: that draw ahead, where the processor draws.
    """
    descent, device = Descent(recipe, processes), processes.device
    descent.begin()
    feed = batches(method, recipe.seed, recipe.batch, 1, processes, n_workers, method.settle(device))
    loss_of, n_steps = descent.loss_of(method), n_steps or STEPS[device.type]
    ready = next(feed).to(device)
    operations = flop(descent, method, ready)

    def train(given: Iterator[Batch]) -> None:
        for _ in range(n_steps):
            descent.step(loss_of, next(given), recipe.learning_rate * recipe.warmup)
        descent.losses(n_steps)  # waits for the device

    sides = (feed, iter(lambda: ready, None))
    for side in sides:
        for _ in range(-(-WARM // n_steps)):
            train(side)
    times = [[seconds(functools.partial(train, side), 1) / n_steps for side in sides] for _ in range(N_ROUNDS)]
    whole, bare = (min(side) for side in zip(*times, strict=True))
    waiting = max(0.0, 1 - bare / whole)
    on_gpu = device.type == "cuda"
    found = [
        Row("patches a second", recipe.batch / whole, floor=WANTED if on_gpu and recipe.patch == 96 else None),
        Row("milliseconds a step", 1000 * whole),
        Row("share of the step spent waiting for data", waiting, limit=MOST_WAITING),
        Row("ratio to a step whose batch is there", whole / bare),
        Row("GFLOP of a patch, forward and backward", operations / recipe.batch / GIGA),
        Row("TFLOP/s of the network", operations / whole / TERA),
    ]
    if on_gpu:
        found.append(Row("GiB of the GPU's memory, at most", torch.cuda.max_memory_allocated(device) / 2**30))
    return found


def flop(descent: Descent, method: Method, batch: Batch) -> int:
    """Operations of a batch, forward and backward: of convolutions and matrix products, as torch counts them."""
    with FlopCounterMode(display=False) as counter:
        descent.plain_loss(method, batch).backward()
    descent.optimiser.zero_grad()
    return int(counter.get_total_flops())


def invented(recipe: Recipe) -> Method:
    """SNRAware on images of noise, which take as long as others."""
    entries = _entries(recipe)
    return Snraware(recipe, entries, entries, networks.divisor(recipe))


def _entries(recipe: Recipe) -> Sequence[Entry]:
    rng = np.random.default_rng(0)
    axis = recipe.frames if recipe.frames in AXES else "slice"
    n_frames = 1 if axis == "none" else max(12, recipe.n_frames)
    shape = (n_frames, *(max(edge, recipe.patch) for edge in SHAPE))
    made = []
    for _ in range(N_ENTRIES):
        clean, noise = (rng.standard_normal((*shape, 2), np.float32).view(np.complex64)[..., 0] for _ in range(2))
        gmaps = 1 + rng.random((N_GMAPS, *shape[1:]), np.float32)
        accelerations = tuple((1 + r, 1) for r in range(N_GMAPS))
        made.append(Entry("none", "noise (CC0)", axis, clean, False, noise, gmaps, accelerations, 20.0, (1.0, 1.0)))
    return made
