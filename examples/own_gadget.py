"""Run a gadget of one's own between those of snrstream.

    python examples/own_gadget.py

The gadget is `gadgets/mask_noise.py`, beside this file: that is the one to copy. `mask_noise.xml` is a pipeline that
names it. The commands do the same:

    snrstream recon data/brain_16ch_r3.h5 --pipeline examples/mask_noise.xml --gadgets examples/gadgets --output OUT
"""

from pathlib import Path

import numpy as np

import snrstream

HERE = Path(__file__).resolve().parent
SCAN = HERE.parent / "data" / "brain_16ch_r3.h5"


def main() -> None:
    """Reconstruct the shipped scan, and tell how much of its image is left."""
    for image in snrstream.reconstruct(SCAN, HERE / "mask_noise.xml", gadgets=HERE / "gadgets"):
        share = np.count_nonzero(image.image) / image.image.size
        print(f"{', '.join(image.history)}: {share:.0%} of the pixels are left")


if __name__ == "__main__":
    main()
