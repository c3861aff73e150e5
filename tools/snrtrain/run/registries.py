"""Whether what a recipe names is there: its network, its optimiser, the format of its model file."""

from snrtrain.export.formats import FILES
from snrtrain.networks import NETWORKS, divisor
from snrtrain.networks import check as check_network
from snrtrain.recipe import Recipe, expect
from snrtrain.run.optimisers import OPTIMISERS


def check(recipe: Recipe) -> None:
    """Raises ConfigurationError, naming the setting, where one names what is unknown or they do not go together."""
    for key, known in (("network", NETWORKS), ("optimiser", OPTIMISERS), ("format", FILES)):
        expect(getattr(recipe, key) in known, key, getattr(recipe, key), f"one of {', '.join(known)}")
    check_network(recipe)
    slices = recipe.inputs == "magnitude_slices"  # instance norms need two pixels an edge at the bottom
    step, least = divisor(recipe), divisor(recipe) * (2 if slices else 1)
    expect(recipe.patch % step == 0 and recipe.patch >= least, "patch", recipe.patch,
           f"a multiple of {step}, {least} or more, for {len(recipe.widths)} levels")  # fmt: skip
