"""What an image off the wire is taken for."""

import ismrmrd
import numpy as np
import pytest

from snrstream.image_kind import ImageKind
from snrstream.output.image_values import kind_of


@pytest.mark.parametrize(
    ("meta", "series", "expected"),
    [
        ({}, 1, ImageKind.ORIGINAL),
        ({}, 2, ImageKind.ORIGINAL),  # another program's second series: nothing says that it is denoised
        ({}, 20, ImageKind.G_MAP),
        ({}, 300, ImageKind.SNR_MAP),
        ({"GADGETRON_DataRole": "Image"}, 20, ImageKind.ORIGINAL),
        ({"GADGETRON_DataRole": ["Image", "Gfactor"]}, 5, ImageKind.G_MAP),
        ({"GADGETRON_DataRole": "GFACTOR"}, 5, ImageKind.G_MAP),
        ({"GADGETRON_DataRole": "g-map"}, 5, ImageKind.G_MAP),
        ({"GADGETRON_DataRole": "SNR_MAP"}, 5, ImageKind.SNR_MAP),
        ({"GADGETRON_DataRole": "Residual", "SNRSTREAM_denoised": "true"}, 3, ImageKind.RESIDUAL),
        ({"GADGETRON_DataRole": "Image", "SNRSTREAM_denoised": "true"}, 2, ImageKind.DENOISED),
        ({"GADGETRON_DataRole": "Image", "SNRSTREAM_model": "a 1"}, 2, ImageKind.DENOISED),
        ({"GADGETRON_DataRole": "Image", "SNRSTREAM_denoised": "false"}, 2, ImageKind.STAND_IN),
    ],
)
def test_the_kind_of_an_image(meta, series, expected) -> None:
    image = ismrmrd.Image.from_array(np.ones((4, 4), np.float32), transpose=False, image_series_index=series)
    image.meta = ismrmrd.Meta(meta)
    assert kind_of(image) is expected
