"""The model card: what a person should know before using a model, written from what was measured."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from snrtrain.networks.cost import EDGE, flop
from snrtrain.recipe import restored

WHAT = {
    "unet2d": "A 2D U-Net",
    "unet3d": "A 3D U-Net",
    "unet25d": "A 2.5D U-Net",
}
TAKES = {
    "complex_gmap": "real, imaginary, g-map; the noise SD is g per part. **Output** `[B, 2, T, H, W]`: real and "
    "imaginary, same units",
    "magnitude_gmap": "magnitude and g-map; the noise SD is g per part of the complex image. **Output** "
    "`[B, 1, T, H, W]`: magnitude, same units",
    "magnitude_slices": "magnitudes of {} neighbouring slices, the largest of the stack made 1. **Output** "
    "`[B, 1, H, W]`: the centre slice's magnitude",
}
FRAMES = {
    "none": "Each frame is denoised by itself",
    "time": "Frames are neighbours in time and are denoised together, in any number",
    "slice": "Frames are neighbouring slices and are denoised together, in any number",
    "any": "Frames are a single image, a series in time, neighbouring slices or the partitions of a volume, and are "
    "denoised together, in any number. A stream runs each of its frames once and remembers what the attention needs of "
    "earlier ones",
}
PRINCIPLES = {
    "snraware": "Supervised, on images in SNR units whose noise is made as the reconstruction makes it: {noise}.",
    "sn2n": "Self-supervised: the lines of k-space along kz are split into two halves, each is completed by GRAPPA and "
    "reconstructed, and the network learns to turn one image into the other, whose noise is independent. No clean "
    "image is needed. At the scanner it is given the plain reconstruction, which is not split.",
}


@dataclass(frozen=True)
class Facts:
    """What the model's files are to tell and only its maker knows.

    data: what it was trained on, each source with its licence and attribution. validated_on: what alpha was chosen on,
    joined by "; ". limits: what it
    was not trained or tested for, whole sentences. snr_range, gfactor_range: in training, as in `Manifest`. version: of
    the model. ablation, evaluation: Markdown, mostly tables, or empty. alpha_picture: name of a picture of the alpha
    curve that lies, or is to lie, in the model folder, or empty. default_alpha: where another than the curve's best is
    chosen. alpha_levels: the curve's parts by added noise in sigma, of which it is the mean, or empty.
    """

    data: tuple[str, ...]
    validated_on: str
    limits: str
    snr_range: tuple[float, float] | None = None
    gfactor_range: tuple[float, float] | None = None
    licence: str = "MIT"
    version: str = "1.0.0"
    ablation: str = ""
    evaluation: str = ""
    alpha_picture: str = ""
    default_alpha: float | None = None
    alpha_levels: Mapping[float, Mapping[float, float]] = field(default_factory=dict)


def card(manifest: dict[str, Any], checkpoint: dict[str, Any], curve: dict[float, float], facts: Facts) -> str:
    """The text of a model's README.md; curve: validation PSNR in dB by alpha."""
    recipe = checkpoint["recipe"]
    n_weights = sum(weight.numel() for weight in checkpoint["weights"].values())
    size = f"{n_weights / 1e6:.2f} million" if n_weights >= 1e6 else f"{n_weights:,}"
    cost = f"{flop(restored(recipe)) / 1e9:.3g} GFLOP a frame of {EDGE} x {EDGE}"
    sections = [
        f"""# {manifest["name"]} {manifest["version"]}

{WHAT[recipe["network"]]} ({size} weights, {cost}) that removes the noise of a reconstruction.
`manifest.json` states its contract; `tools/train.py` made it.

{_items(manifest, checkpoint, facts)}""",
        f"## Limits\n\n{facts.limits} A research tool, not a medical device. Structure below the noise cannot come "
        "back, and may be\nsmoothed away: compare with the original (alpha > 0, or the residual).",
        _blending(manifest, curve, facts),
    ]
    sections += [f"## Evaluation\n\n{facts.evaluation.strip()}"] * bool(facts.evaluation)
    sections += [f"## Ablation\n\n{facts.ablation.strip()}"] * bool(facts.ablation)
    return "\n\n".join(sections) + "\n"


def _items(manifest: dict[str, Any], checkpoint: dict[str, Any], facts: Facts) -> str:
    """The card's list of facts."""
    recipe, training = checkpoint["recipe"], manifest["training"]
    layout, frames = ", ".join(manifest["layout"].replace("S", "T").split(",")), FRAMES[recipe["frames"]]
    if manifest["input"] == "magnitude_slices":
        layout = "B, S, H, W"
        frames = "Each slice is denoised with its neighbours; beyond the ends the stack is mirrored"
    ranges = [
        f"{what} {manifest[key][0]:g} to {manifest[key][1]:g}"
        for what, key in (("SNR of the brightest pixels", "snr_range"), ("g", "gfactor_range"))
        if manifest[key] is not None
    ]
    before = checkpoint["steps_before"]
    return "\n".join(
        f"- **{title}**{text}"
        for title, text in (
            ("Input", f" `[{layout}]` float32: {TAKES[manifest['input']].format(manifest['n_frames'])}."),
            ("Size", f": H and W are multiples of {manifest['divisor']}. {frames}."),
            ("Method", f": {training['method']}. {PRINCIPLES[recipe['method']].format(noise=_noise(recipe))}"),
            ("Data", f": {'; '.join(facts.data)}. Validated on {facts.validated_on}."),
            ("Range", f": {', '.join(ranges) or 'not recorded'}. Outside it, expect less."),
            (
                "Noise reduction",
                f": in flat tissue under a smooth phase the noise SD falls to {manifest['noise_reduction']:.0%} of "
                "what it was (alpha 0). Near edges and fine structure it falls less.",
            ),
            (
                "Made by",
                f": step {checkpoint['step']}{f', after {before} of an earlier stage' * bool(before)}; seed "
                f"{training['seed']}; commit {training['commit']}.",
            ),
            ("Licence", f": {manifest['licence']}."),
        )
    )


def _noise(recipe: dict[str, Any]) -> str:
    """The noise that a recipe trains on."""
    filtered, own = 1 - recipe["p_white"], recipe["p_own"]
    parts = [
        "white but for zero-filled scans" if not filtered else "all filtered in k-space" if filtered == 1 else
        f"filtered in k-space in {filtered:.0%} of the patches",
        "scaled by g-maps" if not recipe["p_uniform_g"] else "of g = 1 everywhere" if recipe["p_uniform_g"] == 1 else
        f"scaled by g-maps in {1 - recipe['p_uniform_g']:.0%}",
    ]  # fmt: skip
    return ", ".join(
        [*parts, *[f"and that of the scan's own reconstruction in {own:.0%} where it is known"] * bool(own)]
    )


def _blending(manifest: dict[str, Any], curve: dict[float, float], facts: Facts) -> str:
    picture = f"\n\n![PSNR by alpha]({facts.alpha_picture})" * bool(facts.alpha_picture)
    if facts.alpha_levels:
        return blending_by_level(manifest["default_alpha"], curve, facts) + picture
    rows = "\n".join(f"| {alpha:g} | {psnr:.2f} |" for alpha, psnr in sorted(curve.items()))
    return f"""## Blending

`alpha * original + (1 - alpha) * network`: magnitude PSNR in dB on {facts.validated_on}. The default
alpha, {manifest["default_alpha"]:g}, is the best of them.

| alpha | PSNR |
|---|---|
{rows}{picture}"""


def blending_by_level(default_alpha: float, curve: Mapping[float, float], facts: Facts) -> str:
    """The section on alpha of a model whose curve is the mean of several, at more and more noise."""
    levels = sorted(facts.alpha_levels)
    heads = "".join(f" {added:g} sigma |" for added in levels)
    rows = "\n".join(
        f"| {alpha:g} |{''.join(f' {facts.alpha_levels[added][alpha]:.2f} |' for added in levels)} {mean:.2f} |"
        for alpha, mean in sorted(curve.items())
    )
    return f"""## Blending

`alpha * original + (1 - alpha) * network`: magnitude PSNR in dB on {facts.validated_on}, told from noisy
labels without the truth, by the noise that was added to the scan. The default alpha, {default_alpha:g}, is the best on
average of those that are no worse than the original (alpha 1) at {levels[0]:g} sigma; of those as good to 0.05 dB, the
largest.

| alpha |{heads} mean |
|{"---|" * (len(levels) + 2)}
{rows}"""
