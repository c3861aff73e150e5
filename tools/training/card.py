"""The model card: what a person should know before using a model, written from what was measured."""


def card(manifest: dict, checkpoint: dict, psnr: dict[float, float]) -> str:
    """The text of a model's README.md; psnr: validation PSNR in dB by alpha."""
    training, recipe = manifest["training"], checkpoint["recipe"]
    n_weights = sum(weight.numel() for weight in checkpoint["weights"].values()) / 1e6
    (snr_low, snr_high), (g_low, g_high) = manifest["snr_range"], manifest["gfactor_range"]
    before = f", after {checkpoint['steps_before']} steps of an earlier stage" if checkpoint["steps_before"] else ""
    table = "\n".join(f"| {alpha} | {value:.2f} |" for alpha, value in psnr.items())
    return f"""# {manifest["name"]} {manifest["version"]}

A 2D U-Net ({n_weights:.2f} million weights) that removes the noise of a reconstruction in SNR units, each
frame by itself, given the g-map. `manifest.json` states its contract; `tools/train.py` made it.

- **Input** `[B, 3, T, H, W]` float32: real, imaginary, g-map; the noise SD is g per part. H and W are
  multiples of {manifest["divisor"]}. **Output** `[B, 2, T, H, W]`: real and imaginary, same units.
- **Method**: {training["method"]}, supervised, on scans simulated with coils, phase and this
  pipeline's own reconstruction; noise filtered in k-space and scaled by g-maps of R = 2 to 6.
- **Data**: {"; ".join(training["data"])}.
  Validated on another subject.
- **Range**: tissue SNR {snr_low:g} to {snr_high:g}, g {g_low:g} to {g_high:g}. Outside it, expect less.
- **Noise reduction**: in flat tissue at SNR 12 and 20 the noise SD falls to {manifest["noise_reduction"]:.0%} of
  what it was (Monte Carlo, 32 repetitions, alpha 0). Near edges and fine structure it falls less.
- **Limits**: trained on heads and spines at 3 T, pictures and phantoms. No other anatomy, no dynamic
  series and no pathology was tested. A research tool, not a medical device. Structure below the noise
  cannot come back, and may be smoothed away: compare with the original (alpha > 0, or the residual).
- **Made by** step {checkpoint["step"]} of {recipe["steps"]}{before}; seed {training["seed"]}.
- **Licence** {manifest["licence"]}.

## Blending

`alpha * original + (1 - alpha) * network`: magnitude PSNR in dB on the validation scans (white noise at
tissue SNR 5, 10 and 20, g = 1 or a map). The default alpha, {manifest["default_alpha"]:g}, is the best of them.

| alpha | PSNR |
|---|---|
{table}
"""
