"""A denoising model of your own: any network, exported to ONNX, with a manifest that says how to run it.

    python examples/own_model.py [FOLDER]

The network here is a toy, one convolution that blurs. Exporting it takes the packages onnx and onnxscript: pip
install '.[train]' in the folder of the repository.
"""

import hashlib
import json
import os
import sys
from pathlib import Path

import numpy as np
import torch

import snrstream

SHIPPED = Path(__file__).parents[1] / "data" / "brain_16ch_r3.h5"


class Blur(torch.nn.Module):
    """Real part, imaginary part and g-map in, the first two out, each pixel the mean of 3 x 3."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = torch.nn.Conv3d(2, 2, (1, 3, 3), padding=(0, 1, 1), groups=2, bias=False)
        torch.nn.init.constant_(self.mean.weight, 1 / 9)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(batch, 3, frame, e1, ro)` to `(batch, 2, frame, e1, ro)`, in SNR units."""
        return self.mean(x[:, :2])


def main(models: str | Path = "models_of_mine") -> None:
    """Export the network into `models`, and denoise the shipped scan with it."""
    place = Path(models) / "blur"
    place.mkdir(parents=True, exist_ok=True)
    any_size = {
        axis: torch.export.Dim(name, min=1, max=4096) for axis, name in ((0, "b"), (2, "t"), (3, "h"), (4, "w"))
    }
    torch.onnx.export(
        Blur().eval(), (torch.rand(2, 3, 4, 24, 40),), str(place / "model.onnx"), input_names=["input"],
        output_names=["output"], dynamic_shapes=(any_size,), dynamo=True, external_data=False, verbose=False,
    )  # fmt: skip
    manifest = {
        "name": "blur",
        "version": "1.0",
        "file": "model.onnx",
        "format": "onnx",
        "sha256": hashlib.sha256((place / "model.onnx").read_bytes()).hexdigest(),
        "input": "complex_gmap",  # what the channels are: docs/models.md lists what there is
        "layout": "B,3,T,H,W",
        "frames": "none",  # each is denoised by itself
        "divisor": 1,  # any size will do
        "receptive_field": [1, 3, 3],
        "scale": "snr_units",
        "default_alpha": 0.0,
        "noise_reduction": 1 / 3,  # the SD of the mean of 9 pixels of white noise
        "training": {"method": "none"},
        "licence": "MIT",
    }
    (place / "manifest.json").write_text(json.dumps(manifest, indent=2))

    os.environ["SNRSTREAM_MODELS"] = str(models)  # in a shell: export SNRSTREAM_MODELS=...
    original, denoised = snrstream.reconstruct(SHIPPED, settings={"model": "blur", "alpha": 0})
    corner = (0, slice(16), slice(16))  # air
    before, after = (np.std(image.image[corner]) for image in (original, denoised))
    print(f"{denoised.meta['SNRSTREAM_model']}: {100 * after / before:.0f} % of the noise in air remains")
    print(f"`snrstream models check blur` tells more, with SNRSTREAM_MODELS={models}")


if __name__ == "__main__":
    main(*sys.argv[1:])
