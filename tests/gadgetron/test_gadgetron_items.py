"""Items of Gadgetron's own gadgets at the head of a chain: the shipped brain scan, and arrays."""

import contextlib
import copy
import ctypes
import re

import ismrmrd
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snrstream.chain.chain import parse_chain
from snrstream.errors import ScanError, SnrstreamError
from snrstream.gadgetron.items import adapted
from snrstream.gadgets import accumulate, noise_adjust
from snrstream.gadgets.gadget import Scan
from snrstream.gadgets.gadget import run as run_gadget
from snrstream.items import Bucket, ReconImage
from snrstream.output.image_values import meta_values
from snrstream.recon.spectrum import Spectrum
from snrstream.wire.acquisitions import LAST_IN_SLICE, head_of
from snrstream.wire.decoder import Decoder
from snrstream.wire.encoder import encode
from snrtrain.benchmarks import gadgetron_objects

from .. import scans
from ..scans import random_complex

GMAP = {"GADGETRON_DataRole": "Gfactor"}
SAME_ARITHMETIC = 1e-5  # relative, of the largest value: float32, summed in another order


def chain(*gadgets: str):
    return parse_chain(f"<configuration>{''.join(f'<gadget name={name!r}/>' for name in gadgets)}</configuration>", "t")


def repeated(acquisitions, **idx: int) -> list[ismrmrd.Acquisition]:
    again = copy.deepcopy(acquisitions)
    for acquisition in again:
        for name, value in idx.items():
            setattr(acquisition.idx, name, value)
    return again


@pytest.fixture(scope="module")
def brain(read_scan):
    """Header, whitened acquisitions, and the images that the whole chain makes of the scan."""
    header, acquisitions = read_scan("brain_16ch_r3")
    white = list(run_gadget(noise_adjust, acquisitions, header, noise_adjust.Parameters()))
    return header, white, list(chain("noise_adjust", "accumulate", "grappa").run(acquisitions, header))


def same(images, expected) -> bool:
    return len(images) == len(expected) and all(
        np.array_equal(a.data, b.data) and a.meta == b.meta and a.getHead() == b.getHead()
        for a, b in zip(images, expected, strict=True)
    )


@pytest.mark.parametrize("gadgets", [["grappa"], ["compress_channels"], ["accumulate", "grappa"], ["accumulate"]])
def test_recon_data_gives_the_images_of_the_whole_chain(brain, gadgets) -> None:
    header, white, expected = brain
    item = gadgetron_objects.recon_data(white, 1, 128)
    assert same(list(chain(*gadgets).run([item], header)), expected)


def test_an_acquisition_bucket_gives_the_images_of_the_whole_chain(brain) -> None:
    header, white, expected = brain
    assert same(list(chain("accumulate").run([gadgetron_objects.bucket(white)], header)), expected)


def test_lines_that_are_data_and_reference_come_once_and_in_order(brain) -> None:
    header, white, _ = brain
    waveform = ismrmrd.Waveform.from_array(np.ones((1, 4), np.uint32))
    for item in (gadgetron_objects.bucket(white, [waveform]), gadgetron_objects.recon_data(white, 1, 128)):
        lines = list(adapted([item], Scan(header), ismrmrd.Acquisition))
        if isinstance(lines[-1], ismrmrd.Waveform):
            assert lines.pop() == waveform
        assert [a.scan_counter for a in lines] == [a.scan_counter for a in white]
        assert all(np.array_equal(a.data, b.data) for a, b in zip(lines, white, strict=True))


def test_every_image_of_the_dimensions_comes_out(brain) -> None:
    header, white, expected = brain
    places = [(n, s, slice_) for n in range(2) for s in range(2) for slice_ in range(2)]
    lines = [a for n, s, slice_ in places for a in repeated(white, repetition=n, set=s, slice=slice_)]
    images = list(chain("grappa").run([gadgetron_objects.recon_data(lines, 1, 128)], header))
    originals = [image for image in images if image.image_series_index == 1]
    assert sorted((i.repetition, i.set, i.slice) for i in originals) == places
    assert all(np.array_equal(image.data, expected[0].data) for image in originals)


def test_a_reference_of_its_own_serves_the_recon_data_that_come_later(brain) -> None:
    """The first message has reference lines alone, its data buffer was never filled."""
    header, white, expected = brain
    _, reference = gadgetron_objects.data_and_reference(white)
    acs = copy.deepcopy(reference)
    for acquisition in acs:
        acquisition.clear_flag(gadgetron_objects.BOTH)
        acquisition.set_flag(gadgetron_objects.CALIBRATION)
    images = []
    for line in white:
        if not line.is_flag_set(gadgetron_objects.CALIBRATION):
            images.append(copy.deepcopy(line))
            images[-1].clear_flag(gadgetron_objects.BOTH)
    items = [gadgetron_objects.recon_data(lines, 1, 128) for lines in (acs, images, repeated(images, repetition=1))]
    assert items[0][0].data.data.size == 0
    got = list(chain("grappa").run(items, header))
    assert [image.repetition for image in got if image.image_series_index == 1] == [0, 1]
    for image in got:
        wanted = expected[0 if image.image_series_index == 1 else 1].data
        assert np.allclose(image.data, wanted, atol=SAME_ARITHMETIC * np.abs(wanted).max())


def test_an_image_leaves_before_the_next_message_is_taken(brain) -> None:
    header, white, _ = brain

    def items():
        yield gadgetron_objects.recon_data(white, 1, 128)
        pytest.fail("the second message was asked for")

    assert next(chain("grappa").run(items(), header)).image_series_index == 1


@pytest.mark.parametrize("short", [0, 8], ids=["whole", "asymmetric echo"])
def test_readouts_without_their_oversampling_are_told_by_their_length(short: int) -> None:
    """Gadgetron's RemoveROOversampling leaves the header, which goes on to tell of 64 samples over twice 32 mm."""
    header = scans.header((1, 16, 64), recon=(32, 16, 1), fov_mm=(32, 16, 1))
    kspace = random_complex(2, 1, 16, 64)
    image = np.fft.fftshift(np.fft.ifft(np.fft.ifftshift(kspace, axes=-1), norm="ortho"), axes=-1)[..., 16:48]
    removed = np.fft.fftshift(np.fft.fft(np.fft.ifftshift(image, axes=-1), norm="ortho"), axes=-1).astype(np.complex64)
    lines = [(0, y) for y in range(16)]
    (whole,) = run_gadget(accumulate, scans.acquisitions(kspace, lines), header, accumulate.Parameters())
    without = []
    for line in scans.acquisitions(removed, lines):
        head = line.getHead()
        head.number_of_samples, head.center_sample = 32 - short, 16 - short
        without.append(ismrmrd.Acquisition(head, data=np.ascontiguousarray(line.data[:, short:])))
    (bucket,) = run_gadget(accumulate, without, header, accumulate.Parameters())
    assert bucket.voxel_mm == whole.voxel_mm == (1, 1, 1)
    assert np.allclose(bucket.kspace[..., short:], whole.kspace[..., short:], atol=SAME_ARITHMETIC * 10)
    assert (bucket.sample_sd > 0).sum() == 32 - short


def test_damaged_recon_data(brain) -> None:
    header, white, _ = brain
    item = gadgetron_objects.recon_data(white, 1, 128)
    item[0].data.headers = item[0].data.headers[:100]
    with pytest.raises(ScanError, match=r"samples \(128, 128, 1, 16, 1, 1, 1\) and headers \(100, 1, 1, 1, 1\)"):
        list(chain("grappa").run([item], header))
    item = gadgetron_objects.recon_data(white, 1, 128)
    item[0].data.headers[1, 0, 0, 0, 0].center_sample = 65
    with pytest.raises(ScanError, match="has 128 samples around 65, 0 and 0 to be discarded; expected some that fit"):
        list(chain("grappa").run([item], header))


def test_samples_to_discard_were_discarded_by_the_buffer(brain) -> None:
    """BucketToBuffer leaves them out of the buffer, but not out of the header."""
    header, white, _ = brain
    item = gadgetron_objects.recon_data(white, 1, 128)
    for head in [*item[0].data.headers.ravel(), *item[0].ref.headers.ravel()]:
        head.discard_pre = 20 if head.number_of_samples else 0
    (bucket,) = adapted([item], Scan(header), Bucket)
    assert isinstance(bucket, Bucket)
    assert (bucket.sample_sd > 0).tolist() == [n >= 20 for n in range(128)]


# Images


def header_of(acceleration: int):
    return scans.header((1, 8, 12), acceleration=(acceleration, 1))


def images(items, acceleration: int = 2) -> list:
    return list(adapted(items, Scan(header_of(acceleration)), ReconImage))


def test_an_image_array_with_its_gmaps() -> None:
    """Two repetitions and sets of three slices; the g-maps are those of the first repetition."""
    pixels, g = random_complex(3, 2, 2, 1, 1, 8, 12), 1 + np.abs(random_complex(3, 2, 1, 1, 1, 8, 12, seed=1))
    gmaps = gadgetron_objects.image_array(g, 6 * [GMAP], image_series_index=20)
    geometry = {"field_of_view": (24, 16, 3), "position": (1, 2, 3), "slice_dir": (0, 0, 1), "measurement_uid": 7,
                "acquisition_time_stamp": 8, "physiology_time_stamp": (9, 10, 11),
                "user_int": (ctypes.c_int32 * 8)(*range(8))}  # fmt: skip
    metas = [{"number": str(n)} for n in range(12)]
    out = images([gmaps, gadgetron_objects.image_array(pixels, metas, image_series_index=1, **geometry)])
    assert [type(item) for item in out] == 12 * [ReconImage]
    for number, item in enumerate(out):  # n fastest, then s
        idx = item.head.idx
        assert (idx.slice, idx.set, idx.repetition) == (number // 4, number // 2 % 2, number % 2)
        assert np.array_equal(item.image, pixels[idx.slice, idx.set, idx.repetition, 0])
        assert np.array_equal(item.gmap, g[idx.slice, idx.set, 0, 0].astype(np.float32))
        assert item.meta == {"number": [str(number)]} and item.voxel_mm == (2, 2, 3) and item.snr_units
        assert item.head.measurement_uid == 7 and tuple(item.head.position) == (1, 2, 3)
        assert tuple(item.head.physiology_time_stamp) == (9, 10, 11) and tuple(item.head.user_int) == tuple(range(8))


AVERAGED = [(n, s) for n in (False, True) for s in (False, True)]


@pytest.mark.parametrize(("average_n", "average_s"), AVERAGED)
@pytest.mark.parametrize(("n_n", "n_s", "n_slices"), [(6, 1, 1), (3, 2, 2), (1, 2, 3), (2, 3, 1)])
def test_gmaps_of_an_averaged_calibration_serve_all_their_images(n_n, n_s, n_slices, average_n, average_s) -> None:
    """Repetitions, sets and slices, with average_all_ref_N and average_all_ref_S of Gadgetron either way."""
    g_shape = (n_slices, 1 if average_s else n_s, 1 if average_n else n_n, 1, 1, 8, 12)
    pixels, g = random_complex(n_slices, n_s, n_n, 1, 1, 8, 12), np.abs(random_complex(*g_shape, seed=1))
    array = gadgetron_objects.image_array(pixels, [{"number": str(n)} for n in range(n_n * n_s * n_slices)])
    gmaps = gadgetron_objects.gmap_array(g, array)
    assert gmaps.headers.shape == array.headers.shape and len(gmaps.meta) == len(array.meta)
    out = images(Decoder().receive(b"".join(map(encode, [gmaps, array]))))
    places = list(np.ndindex(n_slices, n_s, n_n))
    assert [(i.head.idx.slice, i.head.idx.set, i.head.idx.repetition) for i in out] == places
    for number, (place, item) in enumerate(zip(places, out, strict=True)):
        assert item.meta == {"number": [str(number)]} and item.snr_units and item.warnings == ()
        assert np.array_equal(item.image, pixels[place][0])
        of_map = tuple(min(index, size - 1) for index, size in zip(place, g_shape[:3], strict=True))
        assert np.array_equal(item.gmap, g[of_map][0].astype(np.float32))
    assert len({id(item.gmap) for item in out}) == np.prod(g_shape[:3])


def test_the_last_gmap_serves_the_repetitions_after_it() -> None:
    """Calibration lines in the first two repetitions alone, each a calibration of its own: Gadgetron's usedN."""
    pixels, g = random_complex(1, 1, 5, 1, 1, 8, 12), np.abs(random_complex(1, 1, 2, 1, 1, 8, 12, seed=1))
    array = gadgetron_objects.image_array(pixels, 5 * [{}])
    out = images([gadgetron_objects.gmap_array(g, array), array])
    assert [(item.gmap == g[0, 0, 0]).all() for item in out] == [True, False, False, False, False]
    assert all((item.gmap == g[0, 0, 1]).all() for item in out[1:])


def test_gmaps_of_one_message_take_the_place_of_those_before() -> None:
    """Also where the first of the two was not averaged: none of its maps is left for an image of the second."""
    pixels, g = random_complex(1, 2, 3, 1, 1, 8, 12), 1 + np.arange(6, dtype=np.float32).reshape(1, 2, 3, 1, 1, 1, 1)
    array = gadgetron_objects.image_array(pixels, 6 * [{}])
    each, one = (gadgetron_objects.gmap_array(np.broadcast_to(maps, (*maps.shape[:5], 8, 12)), array)
                 for maps in (g, 9 * g[:, :1, :1]))  # fmt: skip
    out = images([each, array, one, array, each, array])
    assert [item.gmap[0, 0, 0] for item in out] == [1, 2, 3, 4, 5, 6, *6 * [9], 1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("axis", range(3))
def test_one_header_along_an_axis_is_that_of_all_its_images(axis: int) -> None:
    pixels = random_complex(2, 3, 4, 1, 1, 8, 12)
    array = gadgetron_objects.image_array(pixels, [{"number": str(n)} for n in range(24)])
    array.headers = np.take(array.headers, [0], axis)
    out = images([array], acceleration=1)
    for number, (place, item) in enumerate(zip(np.ndindex(2, 3, 4), out, strict=True)):
        assert np.array_equal(item.image, pixels[place][0]) and item.meta == {"number": [str(number)]}
        idx = [item.head.idx.repetition, item.head.idx.set, item.head.idx.slice]
        assert idx == [0 if n == axis else index for n, index in enumerate(place[::-1])]


def test_headers_beyond_the_images_are_left_alone() -> None:
    """As ImageArraySplit leaves them: an average over N is one image, not one for each header."""
    array = gadgetron_objects.image_array(random_complex(2, 1, 3, 1, 1, 8, 12), 6 * [{}])
    array.data = np.ascontiguousarray(array.data[..., :1, :, :])
    out = images([array], acceleration=1)
    assert [(item.head.idx.slice, item.head.idx.repetition) for item in out] == [(0, 0), (1, 0)]


@pytest.mark.parametrize("n_sets", [0, 1, 2, 6])
def test_attributes_for_each_image_for_each_header_one_for_all_or_none(n_sets: int) -> None:
    """Of two images, an average each, under six headers."""
    array = gadgetron_objects.image_array(random_complex(2, 1, 3, 1, 1, 8, 12), [{"n": str(n)} for n in range(n_sets)])
    array.data = np.ascontiguousarray(array.data[..., :1, :, :])
    numbers = {0: [None, None], 1: ["0", "0"]}.get(n_sets, ["0", "1"])
    assert [item.meta.get("n", [None])[0] for item in images([array], acceleration=1)] == numbers


def test_attributes_for_each_header_where_one_header_is_that_of_several_images() -> None:
    array = gadgetron_objects.image_array(random_complex(2, 1, 3, 1, 1, 8, 12), [{"n": str(n)} for n in range(2)])
    array.headers = array.headers[:1]
    numbers = [item.meta["n"][0] for item in images([array], acceleration=1)]
    assert numbers == ["0", "0", "0", "1", "1", "1"]


@pytest.mark.parametrize(
    ("headers", "n_sets"),
    [((2, 1, 2), 0), ((3, 1, 0), 0), ((0, 0, 0), 0), ((3, 1), 0), ((3, 2, 2), 5), ((3, 1, 2), 2)],
)
def test_arrays_whose_parts_cannot_be_matched(headers: tuple[int, ...], n_sets: int) -> None:
    array = gadgetron_objects.image_array(random_complex(2, 1, 3, 1, 1, 8, 12), n_sets * [{}])
    head = array.headers[0, 0, 0]
    array.headers = np.empty(headers, object)
    for place in np.ndindex(headers):
        array.headers[place] = head
    told = rf"pixels \(12, 8, 1, 1, 3, 1, 2\), headers {re.escape(str(headers))} and {n_sets} sets of attributes; exp"
    with pytest.raises(ScanError, match=told):
        images([array])


def test_images_without_pixels_are_not_counted_to_their_end() -> None:
    """A few bytes may announce more of them than anyone has time for."""
    array = gadgetron_objects.image_array(random_complex(1, 1, 1, 1, 1, 8, 12), [])
    array.data = np.zeros((0, 1, 1, 1, 1 << 40, 1, 1), np.complex64)
    with pytest.raises(ScanError, match=r"pixels \(0, 1, 1, 1, 1099511627776, 1, 1\), headers \(1, 1, 1\)"):
        images([array])


def image(pixels: np.ndarray, meta: dict | None = None, **fields) -> ismrmrd.Image:
    geometry = {"field_of_view": (12, 8, 1), "read_dir": (1, 0, 0), "phase_dir": (0, 1, 0)}
    made = ismrmrd.Image.from_array(pixels, transpose=False, **geometry, **fields)
    made.meta = ismrmrd.Meta(meta or {})
    return made


@pytest.mark.parametrize("first", ["accumulate", "grappa", "resize"])
def test_warnings_of_the_scan_reach_the_images_whatever_the_chain_begins_with(brain, first: str) -> None:
    header, white, _ = brain
    fov = tuple(getattr(header.encoding[0].reconSpace.fieldOfView_mm, axis) for axis in "xyz")
    ready = image(random_complex(1, 1, *scans_shape(header)), image_series_index=1)
    ready.field_of_view = fov
    item = ready if first == "resize" else gadgetron_objects.recon_data(white, 1, 128)
    out = list(chain(first).run([item], header, ("mind the gap",)))
    assert out and all("mind the gap" in meta_values(made, "SNRSTREAM_warning") for made in out)


def scans_shape(header) -> tuple[int, int]:
    """Lines and samples of an image that fits reconSpace."""
    matrix = header.encoding[0].reconSpace.matrixSize
    return matrix.y, matrix.x


def test_scaling_is_divided_out() -> None:
    pixels, g = random_complex(1, 1, 8, 12), np.full((1, 1, 8, 12), 150, np.uint16)
    (item,) = images(
        [
            image(g, {**GMAP, "GADGETRON_ScaleRatio": "100"}),
            image(10 * pixels, {"GADGETRON_ScaleRatio": "10"}, image_series_index=1),
        ]
    )
    assert np.allclose(item.image, pixels[0], rtol=1e-6) and np.all(item.gmap == 1.5)


def test_the_latest_gmap_that_fits_in_shape_counts() -> None:
    pixels = random_complex(1, 1, 8, 12)
    g = [image(np.full(shape, value, np.float32), GMAP) for shape, value in
         [((1, 1, 8, 12), 2), ((1, 1, 8, 12), 3), ((1, 1, 4, 6), 4)]]  # fmt: skip
    (item,) = images([*g, image(pixels, contrast=1, repetition=5)])
    assert np.all(item.gmap == 3)
    (other,) = images([*g, image(pixels, slice=1)])
    assert not other.snr_units


def test_without_a_gmap() -> None:
    """Gadgetron sends none where nothing was accelerated; elsewhere an image is sent on, but not denoised."""
    pixels = random_complex(1, 1, 8, 12)
    (item,) = images([image(pixels)], acceleration=1)
    assert np.all(item.gmap == 1) and item.snr_units and item.warnings == ()
    out = list(chain("denoise").run([image(pixels, image_series_index=1)], header_of(2)))
    assert [i.image_series_index for i in out] == [1, 20, 2]
    assert out[2].meta["SNRSTREAM_denoised"] == "false" and np.array_equal(out[2].data, out[0].data)
    assert (
        "no g-map came ahead of the image (series 1, image 0, slice 0); not denoised"
        in out[0].meta["SNRSTREAM_warning"]
    )
    assert np.array_equal(out[0].data, pixels)


def test_what_the_first_gadget_cannot_take_passes_unchanged() -> None:
    pixels = random_complex(1, 1, 8, 12)
    acquisition = ismrmrd.Acquisition.from_array(pixels[0, 0])
    magnitude, snr = image(np.abs(pixels)), image(pixels, {"GADGETRON_DataRole": "SNR_MAP"})
    hidden = image(np.abs(pixels).astype(np.complex64))  # a magnitude among complex numbers
    ours = image(pixels, {"SNRSTREAM_model": "a network was here"})
    items = [acquisition, magnitude, snr, hidden, ours]
    assert images(items) == items
    array = gadgetron_objects.image_array(random_complex(1, 1, 2, 1, 1, 8, 12), 2 * [{"GADGETRON_DataRole": "SNR_MAP"}])
    assert list(adapted([array], Scan(header_of(2)), Bucket)) == [array]
    maps = images([array])
    assert [type(item) for item in maps] == [ismrmrd.Image] * 2 and maps[1].repetition == 1
    assert np.array_equal(maps[1].data, array.data[..., 1, 0, 0].T)


def test_images_that_cannot_be_taken() -> None:
    with pytest.raises(ScanError, match=r"has shape \(2, 1, 8, 12\); expected pixels of one channel"):
        images([image(random_complex(2, 1, 8, 12))])
    pixels = random_complex(1, 1, 8, 12)
    pixels[0, 0, 3, 3] = np.nan
    with pytest.raises(ScanError, match="NaN or infinite"):
        images([image(pixels)])
    with pytest.raises(ScanError, match="NaN or infinite"):
        images([image(random_complex(1, 1, 8, 12), {"GADGETRON_ScaleRatio": "1e-60"})])
    array = gadgetron_objects.image_array(random_complex(1, 1, 2, 1, 1, 8, 12), 2 * [{}])
    array.meta[1] = "<ismrmrdMeta>"
    with pytest.raises(ScanError, match="image 1 of an array: attributes is not well-formed XML"):
        images([array])
    array.meta = ["", "", ""]
    with pytest.raises(ScanError, match="and 3 sets of attributes; expected"):
        images([array])


def test_attributes_survive_and_ours_win() -> None:
    theirs = {"GADGETRON_ScaleRatio": "10", "GADGETRON_ImageProcessingHistory": ["GT", "FILTER"], "studyID": "4",
              "PatientPosition": ["1", "2", "3"], "SNRSTREAM_warning": "mind the gap"}  # fmt: skip
    out = list(chain("image_finish").run([image(random_complex(1, 1, 8, 12), theirs)], header_of(1)))
    assert [i.image_series_index for i in out] == [1, 20]
    meta = ismrmrd.Meta.deserialize(out[0].attribute_string)
    assert meta["GADGETRON_ImageProcessingHistory"] == ["GT", "FILTER", "snrstream"]
    assert meta["PatientPosition"] == ["1", "2", "3"] and meta["studyID"] == "4"
    assert meta["GADGETRON_ScaleRatio"] == "10" and meta["SNRSTREAM_warning"] == "mind the gap"  # magnitude x 10
    out = list(chain("resize").run([image(random_complex(1, 1, 8, 12), theirs)], header_of(1)))
    assert out[0].meta["GADGETRON_ScaleRatio"] == "1"


def test_the_lines_that_were_acquired_tell_how_the_noise_is_correlated() -> None:
    meta = {"encoded_matrix": ["12", "8", "1"], "sampling_limits_RO": ["0", "6", "11"],
            "sampling_limits_E1": ["0", "4", "5"], "sampling_limits_E2": ["0", "0", "0"]}  # fmt: skip
    (item,) = images([image(random_complex(1, 1, 8, 12), meta)], acceleration=1)
    assert ((item.spectrum.lines > 0).tolist(), item.spectrum.samples.tolist()) == (
        [6 * [True] + 2 * [False]],
        12 * [1],
    )
    another = image(random_complex(1, 1, 8, 12), {**meta, "encoded_matrix": ["24", "16", "1"]})
    (other,) = images([another], acceleration=1)
    assert other.spectrum.correlation == Spectrum.white((1, 8, 12)).correlation


def test_the_items_of_gadgetron_stay_as_they_were(brain) -> None:
    header, white, _ = brain
    item = gadgetron_objects.recon_data(white, 1, 128)
    before = [bytes(head) for head in item[0].data.headers.ravel()]
    lines = list(adapted([item], Scan(header), ismrmrd.Acquisition))
    assert head_of(lines[-1]).flags & LAST_IN_SLICE
    assert [bytes(head) for head in item[0].data.headers.ravel()] == before


@settings(max_examples=150)
@given(
    st.sampled_from(["grappa", "accumulate", "image array", "g-map array"]),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=4),
)
def test_flipped_bytes_end_in_items_or_an_error_of_ours(kind: str, flips: list[tuple[float, int]]) -> None:
    lines = list(scans.acquisitions(random_complex(2, 1, 8, 12), [(0, y) for y in range(8)], [gadgetron_objects.BOTH]))
    meta = {"encoded_matrix": ["12", "8", "1"], "sampling_limits_E1": ["0", "4", "5"], "GADGETRON_ScaleRatio": "10"}
    item = gadgetron_objects.image_array(random_complex(1, 1, 2, 1, 1, 8, 12), 2 * [meta])
    if kind == "g-map array":
        item = gadgetron_objects.gmap_array(np.ones((1, 1, 1, 1, 1, 8, 12)), item)
    elif kind != "image array":
        item = gadgetron_objects.recon_data(lines, 1, 8)
    data = bytearray(encode(item))
    for position, value in flips:
        data[2 + int(position * (len(data) - 2))] = value
    with contextlib.suppress(SnrstreamError):
        list(chain(kind if " " not in kind else "denoise").run(Decoder().receive(data), header_of(1)))
