"""Images in an ISMRMRD file, read back."""

from pathlib import Path

import ismrmrd
import numpy as np

from snrstream.output.images_file import write_images


def image(shape: tuple[int, ...], series: int = 1, value: float = 0.0) -> ismrmrd.Image:
    made = ismrmrd.Image.from_array(np.full(shape, value, np.float32), transpose=False)
    made.image_series_index = series
    return made


def test_images_of_one_series_may_have_several_shapes(tmp_path: Path) -> None:
    """Those of a second encoding of the header have a matrix of their own."""
    first, second = (1, 1, 8, 6), (1, 1, 5, 4)
    images = [image(first), image(second, value=1), image(first, value=2), image(second, 20), image(second, value=3)]
    path = tmp_path / "images.h5"
    write_images(images, "<ismrmrdHeader/>", path)
    with ismrmrd.Dataset(path, "dataset", mode="r") as dataset:
        found = {
            group: [dataset.read_image(group, n) for n in range(dataset.number_of_images(group))]
            for group in ("image_1", "image_1_2", "image_20")
        }
    values = {group: [float(i.data.flat[0]) for i in images] for group, images in found.items()}
    assert values == {"image_1": [0, 2], "image_1_2": [1, 3], "image_20": [0]}
    assert [i.data.shape for i in found["image_1_2"]] == [second, second]
