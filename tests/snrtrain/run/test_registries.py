"""What a recipe names must be there, and is asked for before a run begins."""

from pathlib import Path

import pytest

from snrstream.errors import ConfigurationError
from snrtrain import recipe
from snrtrain.run.registries import check

RECIPES = Path(__file__).resolve().parents[3] / "tools/recipes"
EIGHT_LEVELS = ["widths=8,8,8,8,8,8,8,8", "depths=1,1,1,1,1,1,1,1", f"cells={','.join(['conv'] * 8)}"]


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_recipe_of_the_repository_names_what_there_is(path):
    check(recipe.load(path, []))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["network=vit"], "network is 'vit'; expected one of unet2d, unet3d, unet25d"),
        (["optimiser=sgd"], "optimiser is 'sgd'; expected one of adamw, muon$"),
        (["format=pickle"], "format is 'pickle'; expected one of onnx, torchscript"),
        (
            ["network=unet25d"],
            "inputs and frames of unet25d are 'complex_gmap' and 'none'; expected 'magnitude_slices'",
        ),
        (["widths=8"], r"widths is \[8\]; expected 2 or more numbers"),
        (["patch=33"], "patch is 33; expected a multiple of 8, 8 or more, for 3 levels"),
        (["patch=2"], "patch is 2; expected a multiple of 8"),
        (["patch=64", *EIGHT_LEVELS], "patch is 64; expected a multiple of 256, 256 or more, for 8 levels"),
    ],
)
def test_what_is_not_there_or_does_not_go_together_is_named(overrides, message):
    with pytest.raises(ConfigurationError, match=message):
        check(recipe.load(RECIPES / "smoke.toml", overrides))


def test_the_bottom_of_a_network_with_instance_norms_has_two_pixels():
    with pytest.raises(ConfigurationError, match="patch is 4; expected a multiple of 4, 8 or more"):
        check(recipe.load(RECIPES / "sn2n_unet25d.toml", ["patch=4"]))
