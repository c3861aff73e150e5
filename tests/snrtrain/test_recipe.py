"""A recipe is read as it is written, and mistakes in it are named."""

from dataclasses import asdict
from pathlib import Path

import pytest

from snrstream.errors import ConfigurationError
from snrtrain import recipe

RECIPES = sorted((Path(__file__).resolve().parents[2] / "tools/recipes").glob("*.toml"))
SHORT = 'name = "a"\nmethod = "snraware"\nnetwork = "unet2d"\ninputs = "complex_gmap"\n'


@pytest.fixture
def short(tmp_path) -> Path:
    path = tmp_path / "short.toml"
    path.write_text(SHORT)
    return path


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_of_the_repository_can_be_read(path):
    assert recipe.load(path, []).name


def test_what_a_recipe_leaves_out_has_its_default_and_is_overridden_by_type(short):
    plain = recipe.load(short, [])
    assert (plain.steps, plain.widths, plain.gmap_known) == (5000, (64, 96, 160), True)
    other = recipe.load(short, ["steps=3", "widths=8,8,16", "gmap_known=false", "p_white=1", "cells=conv,conv,cnnt"])
    assert (other.steps, other.widths, other.gmap_known, other.p_white) == (3, (8, 8, 16), False, 1.0)
    assert other.cells == ("conv", "conv", "cnnt")


def test_a_checkpoint_gives_the_recipe_back(short):
    plain = recipe.load(short, ["steps=7"])
    assert recipe.restored(asdict(plain)) == plain
    with pytest.raises(ConfigurationError, match="another version"):
        recipe.restored({**asdict(plain), "stesp": 3})
    for key, value in (("name", 3), ("widths", "wide"), ("seed", {}), ("network", [])):
        with pytest.raises(ConfigurationError, match=f"setting {key} is"):
            recipe.restored({**asdict(plain), key: value})


def test_a_checkpoint_of_a_version_without_a_setting_has_todays_default(short):
    plain = recipe.load(short, [])
    new = {"p_gaussian", "p_partial_fourier", "p_resolution", "betas", "epsilon"}
    assert recipe.restored({key: value for key, value in asdict(plain).items() if key not in new}) == plain


def test_the_papers_recipe_filters_all_noise():
    paper = recipe.load(RECIPES[0].parent / "snraware_paper.toml", [])
    assert (paper.p_white, paper.p_own, paper.p_uniform_g) == (0.0, 0.0, 0.0)
    assert (paper.p_gaussian, paper.p_partial_fourier, paper.p_resolution, paper.sigma_max) == (1.0, 0.5, 1.0, 32.0)
    assert (paper.perpendicular_weight, paper.gradient_weight, paper.charbonnier_epsilon**2) == (1, 1, 1e-6)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("stesp=3", "unknown setting stesp; known: name, method, .*steps"),
        ("steps", "'steps' is not of the form key=value"),
        ("steps=many", "steps is 'many'; expected int"),
        ("steps=0", "steps is 0; expected a number above 0"),
        ("steps=1.5", "steps is '1.5'; expected int"),
        ("p_white=1.2", "p_white is 1.2; expected 0 to 1"),
        ("p_gaussian=-0.1", "p_gaussian is -0.1; expected 0 to 1"),
        ("p_partial_fourier=nan", "p_partial_fourier is nan; expected 0 to 1"),
        ("p_resolution=2", "p_resolution is 2.0; expected 0 to 1"),
        ("betas=0.9", r"betas is \(0.9,\); expected two numbers of 0 to below 1"),
        ("betas=0.9,1", r"betas is \(0.9, 1.0\); expected two numbers of 0 to below 1"),
        ("betas=0.9,nan", r"betas is \(0.9, nan\); expected two numbers"),
        ("epsilon=0", "epsilon is 0.0; expected a number above 0"),
        ("epsilon=inf", "epsilon is inf; expected a number above 0"),
        ("widths=8,many,8", "widths is 'many'; expected int"),
        ("gmap_known=perhaps", "gmap_known is 'perhaps'; expected bool"),
        ("n_frames=5", "n_frames is 5; expected 1, for frames is none"),
        ("inputs=magnitude_slices", "expected magnitude_slices for sn2n, and for it alone"),
        ("amplitude_max=1", "amplitude_max is 1.0; expected amplitude_min, 50, or more"),
        ("learning_rate=nan", "learning_rate is nan; expected a number above 0"),
        ("learning_rate=inf", "learning_rate is inf; expected a number above 0"),
        ("seed=-1", "seed is -1; expected 0 to 4294967295"),
        ("seed=18446744073709551615", "seed is 18446744073709551615; expected 0 to"),
        ("weight_decay=-1", "weight_decay is -1.0; expected a number of 0 or more"),
        ("weight_decay=nan", "weight_decay is nan; expected a number of 0 or more"),
        ("charbonnier_epsilon=-1", "charbonnier_epsilon is -1.0; expected a number above 0"),
        ("gradient_weight=-5", "gradient_weight is -5.0; expected a number of 0 or more"),
        ("ema=1", "ema is 1.0; expected 0 to below 1"),
        ("name=", "name is ''; expected letters, digits"),
        ("name=..", "name is '..'; expected letters, digits"),
        ("name=a/b", "name is 'a/b'; expected letters, digits"),
        ("name=a\n", "name is 'a.*'; expected letters, digits"),
        (f"name={'a' * 300}", "name is 'a+'; expected letters, digits.* 200 at most"),
    ],
)
def test_a_wrong_setting_is_named(short, override, message):
    with pytest.raises(ConfigurationError, match=message):
        recipe.load(short, [override])


def test_a_wrong_recipe_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match=r"none\.toml cannot be read: No such file"):
        recipe.load(tmp_path / "none.toml", [])
    with pytest.raises(ConfigurationError, match="cannot be read: Is a directory"):
        recipe.load(tmp_path, [])
    with pytest.raises(ConfigurationError, match="null byte"):
        recipe.load(Path("a\0b"), [])
    (tmp_path / "deep.toml").write_text(f"name = {'[' * 5000}{']' * 5000}")
    with pytest.raises(ConfigurationError, match="nested too deep"):
        recipe.load(tmp_path / "deep.toml", [])
    for text, message in (("steps = ", "is not TOML"), ("steps = 3", "lacks name, method, network, inputs")):
        (tmp_path / "bad.toml").write_text(text)
        with pytest.raises(ConfigurationError, match=message):
            recipe.load(tmp_path / "bad.toml", [])
    (tmp_path / "bad.toml").write_text(SHORT + 'seed = true\nwidths = "64"\n')
    with pytest.raises(ConfigurationError, match="seed is True; expected int"):
        recipe.load(tmp_path / "bad.toml", [])


def test_only_its_length_can_be_changed_of_a_run_that_goes_on(short):
    plain = recipe.load(short, [])
    assert recipe.lengthened(plain, []) == plain
    assert asdict(recipe.lengthened(plain, ["steps=9000"])) == asdict(plain) | {"steps": 9000}
    for overrides, message in (
        (["steps=9000", "batch=8"], "got steps=9000, batch=8 for a run that goes on; expected steps=N alone"),
        (["steps=many"], "steps is 'many'; expected int"),
        (["9000"], "'9000' is not of the form key=value"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            recipe.lengthened(plain, overrides)
