"""Images as a chain sends them, for the tests of DICOM files."""

import itertools

import ismrmrd
import numpy as np


def make_image(pixels, meta=None, **head):
    """One of 256 x 192 x 5 mm, with directions along the patient's axes unless `head` says otherwise."""
    head = {
        "field_of_view": (256, 192, 5),
        "read_dir": (1, 0, 0),
        "phase_dir": (0, 1, 0),
        "slice_dir": (0, 0, 1),
        "image_index": 1,
        "image_series_index": 1,
        "image_type": ismrmrd.IMTYPE_COMPLEX if np.iscomplexobj(pixels) else ismrmrd.IMTYPE_MAGNITUDE,
        **head,
    }
    head = {key: tuple(value) if np.ndim(value) else value for key, value in head.items()}
    image = ismrmrd.Image.from_array(np.asarray(pixels), transpose=False, **head)
    image.meta = ismrmrd.Meta(meta or {})
    return image


def rotation(seed):
    """A random rotation: columns are read, phase and slice directions."""
    q, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((3, 3)))
    return q * np.sign(np.linalg.det(q))


def along(directions):
    """The head's fields for these columns."""
    return dict(zip(("read_dir", "phase_dir", "slice_dir"), directions.T, strict=True))


def scan_of(shape, order=None, directions=None, step_mm=7.0, value=None, fields=None, meta=None, **head):
    """Images of every slice, contrast and so on, in the order in which a scanner makes them.

    Parameters
    ----------
    shape
        How many of each counter: the first moves slowest, the slices fastest.
    order
        In which the slices come.
    directions
        Columns are read, phase and slice directions.
    step_mm
        From slice to slice along the slice direction; the middle one lies at the origin.
    value, fields
        Functions of the counters: for all pixels, and for further fields of the head.
    meta, head
        Of all images.
    """
    directions = np.eye(3) if directions is None else directions
    names = [name for name in shape if name != "slice"]
    images = []
    for counters in itertools.product(*(range(shape[name]) for name in names), order or range(shape["slice"])):
        own = dict(zip([*names, "slice"], counters, strict=True))
        place_mm = (own["slice"] - (shape["slice"] - 1) / 2) * step_mm * directions[:, 2]
        all_fields = {**along(directions), "position": place_mm, "image_index": len(images) + 1, **own, **head}
        all_fields.update(fields(**own) if fields else {})
        pixels = np.full((6, 8), 1 if value is None else value(**own), np.uint16)
        images.append(make_image(pixels, meta or {"GADGETRON_ScaleRatio": "10"}, **all_fields))
    return images
