"""The configurations for the inside of a real Gadgetron: what of them is ours, run as Gadgetron would run it."""

import socket
import xml.etree.ElementTree as ET
from pathlib import Path

import ismrmrd
import numpy as np
import pytest

from snrstream.chain.chain import parse_chain
from snrstream.chain.pipelines import named_chain
from snrstream.errors import ConfigurationError
from snrstream.gadgets import noise_adjust
from snrstream.gadgets.gadget import run as run_gadget
from snrstream.system.resources import folder
from snrstream.wire.decoder import Decoder
from snrstream.wire.header import parse_header
from snrstream.wire.scan_file import ScanFile
from snrtrain.benchmarks import gadgetron_objects

from .conftest import exchange

# What stands before our module and behind it, and what Gadgetron sends it.
LINES = ["AsymmetricEchoAdjustROGadget", "RemoveROOversamplingGadget", "AcquisitionAccumulateTriggerGadget",
         "BucketToBufferGadget"]  # fmt: skip
RECON = ["GenericReconCartesianReferencePrepGadget", "GenericReconCartesianGrappaGadget"]
SPLIT = ["GenericReconImageArrayScalingGadget", "ImageArraySplitGadget"]
PIPELINES = {
    "chain_connect": ([], [], "scan"),
    "noise_adjust": (
        [],
        [*LINES, *RECON, "GenericReconPartialFourierHandlingFilterGadget", "GenericReconFieldOfViewAdjustmentGadget",
         *SPLIT, "ComplexToFloatGadget", "FloatToUShortGadget"],
        "scan",
    ),
    "grappa_recon_data": (["NoiseAdjustGadget", *LINES], [], "recon_data"),
    "denoise_image_arrays": (["NoiseAdjustGadget", *LINES, *RECON], [], "image_array"),
    "denoise_images": (["NoiseAdjustGadget", *LINES, *RECON, *SPLIT], [], "images"),
}  # fmt: skip


def path_of(name: str) -> Path:
    return folder("pipelines") / "gadgetron" / f"{name}.xml"


def parsed(name: str) -> ET.Element:
    return ET.fromstring(path_of(name).read_bytes())  # noqa: S314 a file of this repository


def our_part(name: str) -> str:
    external = parsed(name).find("stream/external")
    return ET.tostring(external.find("configuration"), encoding="unicode")


def made(kind: str, scan_path: Path) -> tuple[bytes, list]:
    """Header and items as Gadgetron would make them of a scan."""
    with ScanFile(scan_path) as scan:
        header, acquisitions = parse_header(scan.header_xml), list(scan.acquisitions())
        if kind == "scan":
            return scan.header_xml, acquisitions
        if kind == "recon_data":
            white = list(run_gadget(noise_adjust, acquisitions, header, noise_adjust.Parameters()))
            return scan.header_xml, [gadgetron_objects.recon_data(white, 1, 128)]
        image, gmap = parse_chain(our_part("noise_adjust").replace("noise_adjust", "accumulate"), "").run(
            run_gadget(noise_adjust, acquisitions, header, noise_adjust.Parameters()), header
        )
        if kind == "images":
            return scan.header_xml, [gmap, image]
        fields = {"field_of_view": image.field_of_view, "read_dir": image.read_dir, "phase_dir": image.phase_dir}
        return scan.header_xml, [
            gadgetron_objects.image_array(
                each.data[None, None, None], [dict(each.meta)], image_series_index=each.image_series_index, **fields
            )
            for each in (gmap, image)
        ]


def captured(kind: str, test_data: Path) -> tuple[bytes, list]:
    """Header and items as a real Gadgetron sent them."""
    name = {"scan": "client_scan.to_server"}.get(kind, f"gadgetron_to_module_{kind}")
    _, header, *items, _ = Decoder().receive((test_data / "captures" / f"{name}.bin").read_bytes())
    return header.xml, [item for item in items if not hasattr(item, "text")]


@pytest.mark.parametrize("name", PIPELINES)
def test_a_pipeline_names_our_module_and_the_gadgets_around_it(name: str) -> None:
    before, after, _ = PIPELINES[name]
    assert path_of(name).read_text().split("<!--\n", 1)[1].lstrip().startswith("Use this inside a Gadgetron")
    root = parsed(name)
    assert root.tag == "configuration" and root.findtext("version") == "2"
    nodes = list(root.find("stream"))
    assert [node.findtext("classname", "ours") for node in nodes] == [*before, "ours", *after]
    assert all(node.findtext("dll") == "gadgetron_mricore" for node in nodes if node.tag == "gadget")
    (external,) = root.findall("stream/external")
    if name == "chain_connect":
        assert external.find("connect").attrib == {"address": "127.0.0.1", "port": "9002"}
    else:
        assert external.find("execute").attrib == {"name": "snrstream.gadgetron", "target": "chain", "type": "python"}
    properties = root.findall("stream/gadget/property")
    assert all(set(p.attrib) == {"name", "value"} for p in properties)


def test_there_are_no_others() -> None:
    assert {path.stem for path in (folder("pipelines") / "gadgetron").glob("*.xml")} == set(PIPELINES)


@pytest.mark.parametrize("name", PIPELINES)
def test_the_embedded_host_refuses_what_needs_gadgetron(name: str) -> None:
    before, after, _ = PIPELINES[name]
    if before or after:
        with pytest.raises(
            ConfigurationError, match=f"gadget {(before + after)[0]} is not one of ours and needs a real"
        ):
            parse_chain(path_of(name).read_bytes(), name)
    with pytest.raises(ConfigurationError, match="unknown pipeline"):
        named_chain(name)


@pytest.mark.parametrize("name", PIPELINES)
def test_the_module_gives_what_the_embedded_host_gives(name: str, module, raw_scan) -> None:
    require_same(name, module, *made(PIPELINES[name][2], raw_scan("brain_16ch_r3")))


@pytest.mark.parametrize("name", PIPELINES)
def test_the_module_gives_the_same_of_what_a_real_gadgetron_sent(name: str, module, test_data) -> None:
    require_same(name, module, *captured(PIPELINES[name][2], test_data))


@pytest.mark.parametrize("average_n", [False, True])
@pytest.mark.parametrize("average_s", [False, True])
def test_repetitions_sets_and_slices_are_denoised_each_with_its_own_gmap(module, test_data, average_n, average_s):
    """What a real Gadgetron sent, multiplied as it would send a longer scan, with average_all_ref_N and _S either way.

    Against each image alone behind its own map, as ImageArraySplit would send them.
    """
    header, (gfactor, _, array) = captured("image_array", test_data)
    part, (n_n, n_s, n_slices) = (slice(60, 108), slice(40, 104)), (3, 2, 2)
    scale = 1 + 0.2 * np.random.default_rng(5).random((2, n_slices, n_s, n_n, 1, 1, 1, 1))
    pixels = (scale[0] * array.data.T[..., *part]).astype(np.complex64)
    g = (scale[1] * gfactor.data.T[..., *part]).astype(np.complex64)[
        :, : 1 if average_s else n_s, : 1 if average_n else n_n
    ]
    meta = ismrmrd.Meta.deserialize(array.meta[0])
    fields = {name: getattr(array.headers[0, 0, 0], name) for name in ("field_of_view", "read_dir", "phase_dir")}
    images = gadgetron_objects.image_array(pixels, n_n * n_s * n_slices * [meta], image_series_index=1, **fields)
    gmaps = gadgetron_objects.gmap_array(g, images)
    configuration = our_part("denoise_image_arrays")
    got = exchange(module, configuration, header, [gmaps, images])
    expected = []
    for slice_, s, n in np.ndindex(n_slices, n_s, n_n):
        alone = [
            ismrmrd.Image.from_array(data, transpose=False, repetition=n, set=s, slice=slice_, **fields)
            for data in (g[slice_, min(s, g.shape[1] - 1), min(n, g.shape[2] - 1)], pixels[slice_, s, n])
        ]
        for image, role in zip(alone, ("Gfactor", "Image"), strict=True):
            image.meta = ismrmrd.Meta({**meta, "GADGETRON_DataRole": role})
        expected += list(parse_chain(configuration, "t").run(alone, parse_header(header)))
    assert [image.image_series_index for image in got] == 12 * [1, 20, 2]
    for ours, wanted in zip(got, expected, strict=True):
        place = [(image.slice, image.set, image.repetition, image.image_series_index) for image in (ours, wanted)]
        assert place[0] == place[1] and np.abs(ours.data.astype(float) - wanted.data).max() <= 1
        assert "SNRSTREAM_warning" not in ours.meta
    original, denoised = (np.stack([i.data for i in got if i.image_series_index == n]).astype(float) for n in (1, 2))
    assert (np.abs(original - denoised).std(axis=(1, 2, 3, 4)) > 1).all()


def require_same(name: str, module: socket.socket, header: bytes, items: list) -> None:
    """A pipeline's images by the module and by the embedded host, bit for bit."""
    configuration = our_part(name)
    expected = list(parse_chain(configuration, name).run(items, parse_header(header)))
    got = exchange(module, configuration, header, items)
    assert [type(item) for item in got] == [type(item) for item in expected] and len(got) > 0
    for ours, wanted in zip(got, expected, strict=True):
        assert ours.data.dtype == wanted.data.dtype and ours.data.tobytes() == wanted.data.tobytes()
        if isinstance(wanted, ismrmrd.Image):
            sent = ismrmrd.Meta.deserialize(wanted.attribute_string)
            assert ours.meta == sent and ours.image_series_index == wanted.image_series_index
    assert all(np.count_nonzero(item.data) > 0 for item in got)
    series = {item.image_series_index for item in got if isinstance(item, ismrmrd.Image)}
    assert series >= {"noise_adjust": set(), "grappa_recon_data": {1, 20, 300}}.get(name, {1, 2, 20})


def test_the_server_takes_them_too(server, raw_scan) -> None:
    """A module that Gadgetron reaches by <connect> is a server of ours."""
    header, items = made("recon_data", raw_scan("brain_16ch_r3"))
    configuration = our_part("grappa_recon_data")
    with socket.create_connection(server[:2], 60) as sock:
        got = exchange(sock, configuration, header, items)
    expected = list(parse_chain(configuration, "t").run(items, parse_header(header)))
    assert [image.data.tobytes() for image in got] == [image.data.tobytes() for image in expected]


def test_one_gadget_alone_stands_between_gadgetrons(test_data) -> None:
    """The least that a configuration can be, on what a real Gadgetron sent, against what it made of the same data."""
    theirs = np.load(test_data / "gadgetron_4.7.2" / "phantom_14ch_r3_noise.npz")
    region = np.abs(theirs["snr"]) > 20

    header, items = captured("recon_data", test_data)
    grappa = parse_chain('<configuration><gadget name="grappa"/></configuration>', "t")
    image, gmap = grappa.run(items, parse_header(header))
    ours, wanted = np.abs(image.data[0, 0])[region], np.abs(theirs["image"])[region]
    assert np.linalg.norm(ours - wanted) / np.linalg.norm(wanted) <= 0.005
    assert np.median(np.abs(gmap.data[0, 0] - np.abs(theirs["gmap"]))[region]) <= 0.01

    header, acquisitions = captured("acquisitions", test_data)
    whole = parse_chain('<configuration><gadget name="accumulate"/></configuration>', "t")
    same, _ = whole.run(acquisitions, parse_header(header))
    # Gadgetron took the oversampling out by an FFT of its own.
    assert np.abs(image.data - same.data).max() <= 1e-4 * np.abs(same.data).max()

    header, (gfactor, _, array) = captured("image_array", test_data)
    denoise = parse_chain('<configuration><gadget name="denoise"/></configuration>', "t")
    out = {i.image_series_index: i for i in denoise.run([gfactor, array], parse_header(header))}
    assert np.array_equal(out[1].data[0], array.data[..., 0, 0, 0, 0].T)
    assert np.array_equal(out[20].data[0], np.abs(gfactor.data[..., 0, 0, 0, 0].T))
    change = (out[2].data - out[1].data)[0, 0][region]
    assert 0.3 <= change.real.std() <= 1.5  # of the noise's SD, which is g: what a denoiser may take away
    assert out[2].meta["GADGETRON_ImageProcessingHistory"][:2] == ["GT", "snrstream"]
    header, single = captured("images", test_data)
    of_images = {i.image_series_index: i for i in denoise.run(single, parse_header(header))}
    assert np.allclose(of_images[2].data, out[2].data, atol=1e-4 * np.abs(out[2].data).max())
