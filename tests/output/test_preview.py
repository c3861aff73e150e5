"""Previews: what a panel's grey means, and that panels compare."""

import ismrmrd
import numpy as np
import pytest
from PIL import Image

from snrstream.errors import ScanError
from snrstream.output.orientation import edge_letters
from snrstream.output.preview import GAP, PANEL_HEIGHT, VIRIDIS, draw_preview

TOP_OF_PANELS = GAP + 48 + 62  # title, then the panel's own labels


def make_image(pixels, series, fov=(200, 200, 5), meta=None, **head):
    image = ismrmrd.Image.from_array(
        np.asarray(pixels), transpose=False, field_of_view=fov, image_series_index=series, **head
    )
    image.meta = ismrmrd.Meta(meta or {})
    return image


def make_denoised(pixels, meta=None, **head):
    return make_image(pixels, 2, meta={"SNRSTREAM_denoised": "true", **(meta or {})}, **head)


def panels_of(picture, n_panels, width=PANEL_HEIGHT, height=PANEL_HEIGHT):
    """The image areas (height, width, 3) of panels of equal width, from the left."""
    pixels = np.asarray(picture).astype(int)
    assert pixels.shape[1] == n_panels * width + (n_panels + 1) * GAP
    lefts = [GAP + i * (width + GAP) for i in range(n_panels)]
    return [pixels[TOP_OF_PANELS : TOP_OF_PANELS + height, left : left + width] for left in lefts]


def quadrants(panel):
    """The colours at the middles of the four quadrants of a panel: away from interpolated edges."""
    ny, nx = panel.shape[:2]
    return [tuple(panel[y, x]) for y in (ny // 4, 3 * ny // 4) for x in (nx // 4, 3 * nx // 4)]


def blocks(a, b, c, d, n=32):
    """An (n, n) image of four flat quadrants."""
    return np.kron([[a, b], [c, d]], np.ones((n // 2, n // 2)))


def test_one_panel_for_each_series_in_a_fixed_order():
    rng = np.random.default_rng(0)
    pixels = [rng.uniform(0, 9, (32, 32)).astype(np.float32) for _ in range(4)]
    images = [make_image(pixels[0], 300), make_image(pixels[1], 20), make_denoised(pixels[2]), make_image(pixels[3], 1)]
    for n_images, n_panels in ((4, 5), (3, 3), (2, 2), (1, 1)):
        picture = draw_preview(images[:n_images], "a scan")
        assert picture.mode == "RGB"
        panels_of(picture, n_panels)


def test_original_and_denoised_share_a_window_in_physical_units():
    """The same SNR is the same grey, whatever dtype and scale it came in."""
    values = blocks(0, 10, 20, 40)
    original = make_image((values * 10).astype(np.uint16), 1, meta={"GADGETRON_ScaleRatio": "10"})
    denoised = make_denoised((values * 1j).astype(np.complex64) / 2)
    first, second, _ = panels_of(draw_preview([original, denoised], "t"), 3)
    # The window is 0 to 40: the 99.5 % quantile lies in the brightest quadrant.
    assert quadrants(first) == [(round(255 * v / 40),) * 3 for v in (0, 10, 20, 40)]
    assert quadrants(second) == [(round(255 * v / 80),) * 3 for v in (0, 10, 20, 40)]


def test_difference_is_grey_at_zero_signed_and_amplified():
    original = make_image(blocks(40, 20, 20, 20).astype(np.float32), 1)
    denoised = make_denoised(blocks(40, 20, 18, 24).astype(np.float32))
    *_, difference = panels_of(draw_preview([original, denoised], "t"), 3)
    # Window 0 to 40, so half a window is 20; amplified by 5, black is -4 and white is +4.
    zero, same, positive, negative = quadrants(difference)
    assert zero == same == (128, 128, 128)
    assert positive == (round(255 * 0.75),) * 3
    assert negative == (0, 0, 0)


def test_every_difference_is_amplified_alike():
    """Or a difference of twice the noise would look like another of half of it."""
    rng = np.random.default_rng(4)
    pixels, noise = blocks(40, 20, 20, 20), rng.standard_normal((32, 32))
    weak, strong = (
        panels_of(draw_preview([make_image(pixels, 1), make_denoised(pixels - size * noise)], "t"), 3)[2] - 127.5
        for size in (0.1, 0.4)
    )
    # Grey levels are rounded to whole numbers, and few pixels of 0.4 SDs pass 4, where they would be clipped.
    assert np.std(strong) / np.std(weak) == pytest.approx(4, rel=0.05)


def test_phases_are_grey_from_minus_pi_to_pi_with_nothing_between_neighbours():
    """Whatever is in the image; a smooth picture would draw a grey seam where the phase wraps."""
    phase = blocks(0, -np.pi, np.pi / 2, 3.14)
    stored = np.minimum(np.rint(phase * 2048 / np.pi) + 2048, 4095).astype(np.uint16)
    meta = {"GADGETRON_ScaleRatio": "651.898647", "GADGETRON_ScaleOffset": "2048"}
    own = make_image(stored, 601, meta=meta, image_type=ismrmrd.IMTYPE_PHASE)
    denoised = make_image(phase, 602, meta={"SNRSTREAM_denoised": "true"}, image_type=ismrmrd.IMTYPE_PHASE)
    original = make_image(np.ones((32, 32), np.float32), 1)
    for images, n_panels in (([denoised, original, own], 3), ([own, denoised], 2)):
        *_, first, second = panels_of(draw_preview(images, "t"), n_panels)
        for panel in (first, second):
            assert np.allclose(quadrants(panel), [[127.5] * 3, [0] * 3, [191] * 3, [255] * 3], atol=1)
            assert len(np.unique(panel[:, 50 : PANEL_HEIGHT - 50])) < 4 + 10  # letters of edges aside


def test_a_part_is_shown_where_there_is_no_magnitude():
    real = make_image(blocks(-8, 8, 0, 4), 401, image_type=ismrmrd.IMTYPE_REAL)
    (panel,) = panels_of(draw_preview([real], "t"), 1)
    assert np.allclose(quadrants(panel), [[0] * 3, [255] * 3, [127.5] * 3, [191] * 3], atol=1)
    panels_of(draw_preview([real, make_image(np.ones((32, 32)), 1)], "t"), 1)


AXIAL = {"read_dir": (1, 0, 0), "phase_dir": (0, 1, 0)}


@pytest.mark.parametrize(
    ("directions", "expected"),
    [
        (AXIAL, ("R", "L", "A", "P")),
        ({"read_dir": (-1, 0, 0), "phase_dir": (0, -1, 0)}, ("L", "R", "P", "A")),
        ({"read_dir": (1, 0, 0), "phase_dir": (0, 0, -1)}, ("R", "L", "H", "F")),  # coronal, head up
        ({"read_dir": (0, 1, 0), "phase_dir": (0, 0, -1)}, ("A", "P", "H", "F")),  # sagittal
        ({"read_dir": (0.99, 0.1, 0), "phase_dir": (0, 0.6, -0.8)}, ("R", "L", "HA", "FP")),
        ({"read_dir": (0, 0, 0), "phase_dir": (0, 1, 0)}, ("", "", "", "")),  # what is shown is axial by default
        ({"read_dir": (np.nan, 0, 0), "phase_dir": (0, 0, 0)}, ("", "", "", "")),
        ({}, ("", "", "", "")),
    ],
)
def test_the_edges_are_named_after_the_patient(directions, expected):
    image = make_image(np.ones((32, 32), np.float32), 1, **directions)
    assert edge_letters(image) == expected


def test_the_letters_stand_at_the_edges_of_every_panel():
    """Pixels that are not the image's flat grey: none without directions, else near the middle of each edge."""
    pixels = np.full((32, 32), 5, np.float32)
    meta = {"WindowCenter": "5", "WindowWidth": "10"}
    for directions in ({}, AXIAL):
        images = [
            make_image(pixels, 1, meta=meta, **directions),
            make_denoised(pixels, meta=meta, **directions),
            make_image(pixels, 300, **directions),
        ]
        for panel in panels_of(draw_preview(images, "t"), 4):
            drawn = np.any(panel != panel[PANEL_HEIGHT // 2, PANEL_HEIGHT // 2], axis=-1)
            middle, depth = slice(PANEL_HEIGHT // 2 - 20, PANEL_HEIGHT // 2 + 20), 40
            edges = [drawn[middle, :depth], drawn[middle, -depth:], drawn[:depth, middle], drawn[-depth:, middle]]
            assert [edge.any() for edge in edges] == 4 * [bool(directions)]
            assert drawn.sum() == sum(edge.sum() for edge in edges)


def test_model_alpha_and_missing_snr_units_are_stated():
    pixels = np.random.default_rng(2).uniform(0, 30, (32, 32)).astype(np.float32)
    plain, units = {}, {"SNRSTREAM_snr_units": "false"}
    made = {"SNRSTREAM_model": "unet 1", "SNRSTREAM_alpha": "0.3"}

    def shown(units, made):
        return draw_preview([make_image(pixels, 1, meta=units), make_denoised(pixels, meta={**units, **made})], "t")

    heights = [shown(*metas).height for metas in ((plain, plain), (plain, made), (units, plain), (units, made))]
    assert np.diff(heights).tolist() == [24, 0, 24], "a line for each"
    other = shown(plain, {**made, "SNRSTREAM_alpha": "0.5"})
    assert np.any(np.asarray(other)[:TOP_OF_PANELS] != np.asarray(shown(plain, made))[:TOP_OF_PANELS])
    table = shown(plain, {**made, "SNRSTREAM_alpha": " ".join(f"{n}:0.5" for n in range(1, 100))})
    assert np.asarray(table)[:, -GAP + 2 :].max() < 40, "the right margin stays empty"


def test_identical_images_have_a_flat_difference():
    pixels = np.random.default_rng(1).uniform(0, 30, (32, 32)).astype(np.float32)
    *_, difference = panels_of(draw_preview([make_image(pixels, 1), make_denoised(pixels)], "t"), 3)
    assert np.all(difference == 128)


def test_a_series_2_that_is_not_denoised_has_no_difference():
    pixels = np.random.default_rng(1).uniform(0, 30, (32, 32)).astype(np.float32)
    marked = make_image(pixels, 2, meta={"SNRSTREAM_denoised": "false"})
    plain = make_denoised(pixels)
    first, second = panels_of(draw_preview([make_image(pixels, 1), marked], "t"), 2)
    assert np.array_equal(first, second)
    titles = [np.asarray(draw_preview([image], "t")) for image in (marked, plain)]
    assert not np.array_equal(*titles), "Not denoised, Denoised"


def test_images_of_different_size_have_no_difference():
    images = [make_image(np.ones((32, 32), np.float32), 1), make_denoised(np.ones((64, 64), np.float32))]
    panels_of(draw_preview(images, "t"), 2)


def test_g_map_is_coloured_from_one_to_its_top():
    g = make_image((blocks(0, 1, 2, 3) * 100).astype(np.uint16), 20, meta={"GADGETRON_ScaleRatio": "100"})
    (panel,) = panels_of(draw_preview([g], "t"), 1)
    assert quadrants(panel) == [VIRIDIS[0], VIRIDIS[0], VIRIDIS[4], VIRIDIS[8]]


@pytest.mark.parametrize(
    ("shape", "fov", "expected"),
    [
        ((32, 32), (200, 200, 5), (384, 384)),
        ((100, 100), (200, 200, 5), (400, 400)),  # a whole factor, 4
        ((64, 32), (200, 200, 5), (384, 384)),  # pixels twice as wide as high
        ((64, 32), (300, 200, 5), (576, 384)),
        ((500, 250), (200, 200, 5), (500, 500)),
        ((2048, 64), (200, 200, 5), (1024, 1024)),
        ((32, 64), (0, 0, 0), (768, 384)),  # no field of view: square pixels
    ],
)
def test_panels_are_large_and_keep_the_aspect_of_the_field_of_view(shape, fov, expected):
    picture = draw_preview([make_image(np.ones(shape, np.float32), 1, fov)], "t")
    width, height = expected
    (panel,) = panels_of(picture, 1, width, height)
    # A constant image fills its panel with one bright grey, below which the background shows again.
    assert np.all(panel == panel[0, 0]) and panel[0, 0, 0] > 100
    below = np.asarray(picture)[TOP_OF_PANELS + height, GAP]
    assert np.all(below < 40)


def test_narrow_panels_leave_room_for_their_labels():
    picture = draw_preview([make_image(np.ones((64, 4), np.float32), 1, (10, 300, 5))], "t")
    assert picture.width > 150


def test_the_middle_image_is_shown_with_its_own_g_map():
    images = [
        make_image(np.full((32, 32), value, np.float32), 1, slice=place, meta=window)
        for place, value in ((0, 1), (1, 5), (2, 9))
        for window in [{"WindowCenter": "5", "WindowWidth": "10"}]
    ]
    maps = [make_image(blocks(1, 1, 2, top).astype(np.float32), 20, slice=place) for place, top in ((1, 3), (0, 9))]
    image, g_map = panels_of(draw_preview(images + maps, "t"), 2)
    assert quadrants(image) == [(128, 128, 128)] * 4
    assert quadrants(g_map)[2] == VIRIDIS[4]


def test_middle_slice_of_a_volume():
    volume = np.zeros((5, 32, 32), np.float32)
    volume[2] = 7
    (panel,) = panels_of(draw_preview([make_image(volume, 1)], "t"), 1)
    assert np.all(panel == 255)


def test_other_series_are_shown_where_there_is_nothing_else():
    panels_of(draw_preview([make_image(np.ones((32, 32), np.uint16), 7)], "t"), 1)


def test_long_and_broken_titles_fit():
    picture = draw_preview([make_image(np.ones((32, 32), np.float32), 1)], "a title\n" * 20)
    assert isinstance(picture, Image.Image)
    assert np.asarray(picture)[:, -GAP + 2 :].max() < 40  # the right margin stays empty


def test_bad_input_is_named():
    with pytest.raises(ScanError, match="no images to preview"):
        draw_preview([], "t")
    pixels = np.ones((4, 4), np.float32)
    pixels[0, 0] = np.nan
    with pytest.raises(ScanError, match="series 1, image 0: 1 of 16 pixels"):
        draw_preview([make_image(pixels, 1)], "t")
