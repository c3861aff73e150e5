"""Reconstruct a raw file in Python, and save a picture of its SNR.

    python examples/reconstruct_a_file.py [SCAN] [OUT.png]

SCAN is an ISMRMRD HDF5 file, a stream of ISMRMRD messages, or one of MRD v2.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

import snrstream

SHIPPED = Path(__file__).parents[1] / "data" / "brain_16ch_r3.h5"


def main(scan: str | Path = SHIPPED, picture: str | Path = "snr.png") -> None:
    """Reconstruct `scan`, tell what came of it, and save |image| / g of the first image."""
    images = snrstream.reconstruct(scan, "grappa_denoise", settings={"alpha": 0.3})
    for image in images:
        shape, voxel = "x".join(map(str, image.image.shape)), "x".join(f"{mm:.2f}" for mm in image.voxel_mm)
        print(f"{image.kind.description}: {shape} pixels (e2, e1, readout) of {voxel} mm")
        inside = np.abs(image.image) > 5 * image.gmap  # in air, coil maps follow no object, and g tells nothing
        print(f"  median g inside {np.median(image.gmap[inside]):.2f}, warnings: {', '.join(image.warnings) or 'none'}")
    original = images[0]
    # The noise has SD g in the real and in the imaginary part: this is the SNR, whatever the scan and its coil.
    snr = np.abs(original.image[len(original.image) // 2]) / original.gmap[len(original.gmap) // 2]
    shown = np.clip(255 * snr / np.percentile(snr, 99.5), 0, 255).astype(np.uint8)
    Image.fromarray(shown).save(picture)
    print(f"largest SNR {snr.max():.0f}; {picture} shows it")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except snrstream.SnrstreamError as error:
        sys.exit(str(error))
