"""Run a gadget of one's own between those of snrstream.

    python examples/own_gadget.py

The gadget is `gadgets/mask_noise.py`, beside this file: that is the one to copy. To the commands, its folder is given
by `--gadgets examples/gadgets`. A package can bring gadgets, too, by an entry point in its pyproject.toml:

    [project.entry-points."snrstream.gadgets"]
    mask_noise = "my_package.mask_noise"
"""

from pathlib import Path

import ismrmrd
import numpy as np

from snrstream.chain.chain import parse_chain
from snrstream.chain.registry import registry
from snrstream.wire.header import parse_header
from snrstream.wire.scan_file import ScanFile

HERE = Path(__file__).resolve().parent
SCAN = HERE.parent / "data" / "brain_16ch_r3.h5"

PIPELINE = """
<configuration>
  <gadget name="noise_adjust"/>
  <gadget name="accumulate"/>
  <gadget name="grappa"/>
  <gadget name="coil_combine"/>
  <gadget name="mask_noise"><property name="snr" value="5"/></gadget>
  <gadget name="image_finish"/>
</configuration>
"""


def main() -> None:
    """Reconstruct the shipped scan, and tell how much of its image is left."""
    chain = parse_chain(PIPELINE, "the pipeline above", registry(HERE / "gadgets"))
    with ScanFile(SCAN) as scan:
        for image in chain.run(scan.acquisitions(), parse_header(scan.header_xml)):
            if isinstance(image, ismrmrd.Image) and image.image_series_index == 1:
                share = np.count_nonzero(image.data) / image.data.size
                print(f"{image.meta['GADGETRON_ImageProcessingHistory']}: {share:.0%} of the pixels are left")


if __name__ == "__main__":
    main()
