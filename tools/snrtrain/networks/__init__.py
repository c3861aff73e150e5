"""The networks that a recipe may name, and what their inputs must be.

All are a pre-convolution, a backbone and an output convolution. A backbone is levels of blocks, a block is cells in a
row, a cell is a mixing step with its skip (after SNRAware, arXiv 2503.18162); a backbone's own skips link its levels.
"""

from torch import nn

from snrstream.errors import ConfigurationError
from snrtrain.networks.cells import CELLS, CnntCell, cells_of
from snrtrain.networks.slices import SlicesUNet
from snrtrain.networks.whitened import WhitenedUNet
from snrtrain.recipe import Recipe

NETWORKS = ("unet2d", "unet3d", "unet25d")
WIDEST, DEEPEST = 4096, 100  # channels, and blocks of a level: beyond, memory ends before the first step
PARTS = {"complex_gmap": 2, "magnitude_gmap": 1}  # channels of the image, the g-map aside


def build(recipe: Recipe) -> nn.Module:
    """The network that a recipe describes, untrained.

    Reads network, inputs, frames, n_frames, widths, depths, cells, window, gmap_known. `unet2d`: `WhitenedUNet`
    of any cells. `unet3d`: the same of cells that all mix frames. `unet25d`: `SlicesUNet`, which reads n_frames and
    widths alone.
    Raises ConfigurationError as `check` does.
    """
    check(recipe)
    if recipe.network == "unet25d":
        return SlicesUNet(recipe.n_frames, recipe.widths)
    return WhitenedUNet(PARTS[recipe.inputs], recipe.widths, recipe.depths, recipe.cells, recipe.gmap_known,
                        recipe.window)  # fmt: skip


def remembered(recipe: Recipe) -> list[tuple[int, int]]:
    """What a network for any frames takes of earlier ones: channels of each cell's keys and values, and their divisor.

    In the order in which the cells run: down, at the bottom, and up. Empty for all other networks.
    """
    if recipe.frames != "any":
        return []
    down = list(enumerate(zip(recipe.cells, recipe.widths, recipe.depths, strict=True)))
    return [
        (2 * width, 2 << level)
        for level, (kind, width, depth) in (*down, *reversed(down[:-1]))
        for cell in cells_of(kind, depth)
        if cell == "cnnt"
    ]


def check(recipe: Recipe) -> None:
    """Raises ConfigurationError where what a recipe says of its network does not go together."""
    if recipe.network not in NETWORKS:
        raise ConfigurationError(f"network is {recipe.network!r}; expected {', '.join(NETWORKS)}")
    if len(recipe.widths) < 2 or not all(1 <= width <= WIDEST for width in recipe.widths):
        raise ConfigurationError(f"widths is {list(recipe.widths)}; expected 2 or more numbers above 0, to {WIDEST}")
    if recipe.network == "unet25d":
        _check_slices(recipe)
    else:
        _check_whitened(recipe)


def divisor(recipe: Recipe) -> int:
    """What H and W must be multiples of."""
    return 1 << (len(recipe.widths) - int(recipe.network == "unet25d"))


def _check_slices(recipe: Recipe) -> None:
    if recipe.inputs != "magnitude_slices" or recipe.frames != "slice":
        raise ConfigurationError(
            f"inputs and frames of unet25d are {recipe.inputs!r} and {recipe.frames!r}; "
            "expected 'magnitude_slices' and 'slice'"
        )
    if recipe.n_frames < 3 or recipe.n_frames % 2 == 0:
        raise ConfigurationError(f"n_frames of unet25d is {recipe.n_frames}; expected an odd number of 3 or more")


def _check_whitened(recipe: Recipe) -> None:
    network, widths = recipe.network, recipe.widths
    if recipe.inputs not in PARTS:
        raise ConfigurationError(f"inputs of {network} is {recipe.inputs!r}; expected {' or '.join(PARTS)}")
    if not len(widths) == len(recipe.depths) == len(recipe.cells):
        counts = f"{len(widths)}, {len(recipe.depths)} and {len(recipe.cells)}"
        raise ConfigurationError(f"widths, depths and cells hold {counts} levels; expected as many each")
    if not all(0 <= depth <= DEEPEST for depth in recipe.depths):
        raise ConfigurationError(f"depths is {list(recipe.depths)}; expected numbers of 0 or more, to {DEEPEST}")
    for kind, width in zip(recipe.cells, widths, strict=True):
        if kind.count("+") > 1:
            raise ConfigurationError(f"cells names {kind!r}; expected one kind, or two as in conv+cnnt")
        for cell in kind.split("+"):
            _check_cell(recipe, cell, width)
    if recipe.frames == "any" and not remembered(recipe):
        raise ConfigurationError(f"cells is {list(recipe.cells)}; expected cnnt in one, for frames is 'any'")


def _check_cell(recipe: Recipe, cell: str, width: int) -> None:
    if cell not in CELLS:
        raise ConfigurationError(f"cells names {cell!r}; expected {', '.join(CELLS)}")
    if cell == "cnnt" and width % CnntCell.N_HEADS:
        raise ConfigurationError(f"width of a cnnt level is {width}; expected a multiple of {CnntCell.N_HEADS}")
    mixes = CELLS[cell].mixes_frames
    if mixes and recipe.frames == "none":
        raise ConfigurationError(f"cell {cell} mixes frames, but frames is 'none'; expected 'time', 'slice' or 'any'")
    if cell == "conv3d" and recipe.frames == "any":
        raise ConfigurationError("cells names 'conv3d', but frames is 'any'; expected conv or cnnt")
    if recipe.network == "unet3d" and not mixes:
        mixing = " or ".join(name for name, kind in CELLS.items() if kind.mixes_frames)
        raise ConfigurationError(f"cells of unet3d names {cell!r}; expected {mixing}")
