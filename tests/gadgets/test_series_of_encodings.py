"""Images of several encodings differ in size, and so go to series of their own."""

from pathlib import Path

import ismrmrd
import numpy as np
import pydicom
import pytest

from snrstream.gadgets import image_finish
from snrstream.gadgets.gadget import run as run_gadget
from snrstream.image_kind import NEXT_ENCODING, ImageKind, ImagePart
from snrstream.output.dicom import write_dicom
from snrstream.output.image_values import kind_of

from .. import scans
from ..recon.simulation import noisy_kspace
from .test_waiting_images import NX, NY, header_of, image_lines, of_encoding, recons_of

HEADER = header_of(scans.header((1, NY, NX)), scans.header((1, 40, 64), recon=(32, 40, 1)))
SIZES = (NY, NX), (40, 32)


def lines_of(number: int, repetition: int = 0) -> list[ismrmrd.Acquisition]:
    if number == 0:
        return image_lines(1, repetition=repetition)
    kspace = noisy_kspace(6, (1, 40, 64), snr=100).numpy()
    lines = list(scans.acquisitions(kspace, [(0, y) for y in range(40)], repetition=repetition))
    return of_encoding(number, lines)


def images_of(*numbers: int, **parameters: object) -> list[ismrmrd.Image]:
    """Of one repetition of each encoding, in this order."""
    lines = [line for n, number in enumerate(numbers) for line in lines_of(number, repetition=n)]
    return list(
        run_gadget(image_finish, recons_of(HEADER, lines), HEADER, image_finish.Parameters(**parameters))  # type: ignore[arg-type]
    )


def test_the_second_encoding_has_series_of_its_own_and_counts_there() -> None:
    images = images_of(0, 1, 0, 1, snr_map=True)
    found = [(image.image_series_index, image.image_index) for image in images]
    shift = NEXT_ENCODING
    of_one = [(series + by, n) for n in (1, 2) for by in (0, shift) for series in (1, 20, 300)]
    assert found == of_one
    assert {(image.image_series_index, image.data.shape[-2:]) for image in images} == {
        (series + by, size) for series in (1, 20, 300) for by, size in zip((0, shift), SIZES, strict=True)
    }
    kinds = [ImageKind.ORIGINAL, ImageKind.G_MAP, ImageKind.SNR_MAP]
    assert [kind_of(image) for image in images] == kinds * 4


@pytest.mark.parametrize("number", [0, 1])
def test_images_of_one_encoding_keep_the_numbers_whichever_it_is(number: int) -> None:
    images = images_of(number, number)
    assert [(image.image_series_index, image.image_index) for image in images] == [(1, 1), (20, 1), (1, 2), (20, 2)]


def test_images_beside_an_original_have_its_window_and_not_that_of_another_encoding() -> None:
    """Numbers begin anew in each encoding: an SNR map goes by the original of its own."""
    images = images_of(0, 1, snr_map=True)
    windows = {image.image_series_index: image.meta["WindowWidth"] for image in images}
    assert windows[300] == windows[1] and windows[300 + NEXT_ENCODING] == windows[1 + NEXT_ENCODING]
    assert windows[1] != windows[1 + NEXT_ENCODING]


def test_dicom_has_one_size_in_a_series_and_one_series_for_a_number(tmp_path: Path) -> None:
    files = [pydicom.dcmread(path) for path in write_dicom(images_of(0, 1, 0, 1), HEADER, tmp_path)]
    by_number: dict[int, set[tuple[str, int, int]]] = {}
    for file in files:
        by_number.setdefault(int(file.SeriesNumber) % 1000, set()).add(
            (file.SeriesInstanceUID, file.Rows, file.Columns)
        )
    assert sorted(by_number) == [1, 20, 1 + NEXT_ENCODING, 20 + NEXT_ENCODING]
    assert all(len(kinds) == 1 for kinds in by_number.values())
    assert [int(file.InstanceNumber) for file in files] == [1, 1, 1, 1, 2, 2, 2, 2]


def test_series_of_all_kinds_parts_and_encodings_stay_apart_and_below_dicom_s_thousand() -> None:
    own = {kind.series for kind in ImageKind} | {
        kind.series + part.series_offset for kind in (ImageKind.ORIGINAL, ImageKind.DENOISED) for part in ImagePart
    }
    series = [number + NEXT_ENCODING * n for n in range(8) for number in own]
    assert len(set(series)) == len(series)
    assert np.max(series) < 1000
