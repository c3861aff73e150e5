"""Denoising over the bare network: a frame through the gadget, a scan through the socket, and peers."""

import itertools
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median

import ismrmrd
import numpy as np
import torch
from torch import Tensor

from snrstream.denoising import onnx_backend, openvino_backend
from snrstream.denoising.backend_choice import candidates, measured
from snrstream.denoising.loaded import load_model
from snrstream.denoising.model import Model
from snrstream.denoising.runs import TIMEOUT_S
from snrstream.errors import ConfigurationError, ModelError
from snrstream.gadgets import denoise
from snrstream.gadgets.gadget import run as run_gadget
from snrstream.hosts.server_process import server_process
from snrstream.image_kind import ImageKind
from snrstream.items import ReconImage
from snrstream.recon.spectrum import Spectrum
from snrstream.system.resources import folder
from snrstream.system.safe_xml import parse_xml
from snrstream.wire.header import parse_header
from snrstream.wire.messages import ConfigFile, ConfigText

from . import denoise_peers, denoise_stream, stream
from .denoise_peers import NoisyFrame, noisy_frame
from .timing import Row, Run, rested_ratio, seconds

MODEL, SIZE, N_CHANNELS = "snraware", 256, 16
PIPELINE = "grappa_denoise"
N_ROUNDS, N_SERVERS, N_LATER = 3, 5, 4
ALPHA_BY_G = "1:0.5 2:0.3 4:0.1"


def rows(n_repetitions: int) -> Iterator[Row]:
    """Frame, peers, streamed series, chain and latency, each beside what it is measured against."""
    frame = noisy_frame(SIZE)
    bare = bare_session(frame)
    yield from backend_rows()
    yield from frame_rows(frame, bare)
    yield from denoise_peers.rows(frame, answer(frame), bare)
    yield from denoise_stream.rows(frame, n_repetitions)
    yield from chain_rows(n_repetitions, bare)
    yield from latency_rows()


def bare_session(frame: NoisyFrame) -> Run:
    """A run of the backend that the gadget takes on the frame's prepared batch, and nothing else."""
    model, batch = load_model(MODEL), np.stack([frame.noisy.real, frame.noisy.imag, frame.gmap])[None, :, None]
    devices = {f"CPU {precision}": device for device, precision in openvino_backend.PRECISIONS.items()}
    data = model.path.read_bytes()
    load, _ = (
        openvino_backend.opening(data, model.manifest, devices[model.device])
        if model.device in devices
        else onnx_backend.opening(data, model.manifest, "cpu")
    )
    backend = load()
    return lambda: backend.run(batch, backend.stop())


def backend_rows() -> Iterator[Row]:
    """Time and answer of each backend at hand, beside ONNX Runtime on a CPU."""
    chosen = load_model(MODEL)
    model = Model(chosen.manifest, chosen.path, devices=("cpu",))
    first, *others = measured([model, *candidates(model, TIMEOUT_S)], TIMEOUT_S, SIZE)
    for found in others:
        name = f"bare network, {found.model.backend} on {found.model.device}"
        used = ", which auto takes" * (found.model.device == chosen.device)
        yield Row(f"{name}{used}: time over ONNX Runtime's", found.ms / first.ms)
        if found.rms is not None:
            yield Row(f"{name}: difference to the recorded answer, RMS in 1e-6 noise SDs", 1e6 * found.rms)


def frame_rows(frame: NoisyFrame, bare: Run) -> Iterator[Row]:
    """A warm frame through the gadget."""
    name = f"{len(frame.gmap)} x {len(frame.gmap)} through the gadget"
    yield Row(name, rested_ratio(gadget(frame, denoise.Parameters(MODEL)), bare), 1.2)
    rich = denoise.Parameters(MODEL, alpha_by_g=ALPHA_BY_G, residual=True)
    yield Row(f"{name}, residual and alpha by g", rested_ratio(gadget(frame, rich), bare), 1.2)


def answer(frame: NoisyFrame) -> Callable[[], Tensor]:
    """The gadget's denoised image at alpha 0, `(e1, ro)`."""
    run = gadget(frame, denoise.Parameters(MODEL, alpha=0.0))
    return lambda: torch.from_numpy(run()[1].image[0])


def gadget(frame: NoisyFrame, parameters: denoise.Parameters) -> Callable[[], list[ReconImage]]:
    """What the gadget makes of the next image of a scan that never ends, all images of which are the frame.

    Raises ModelError where it does not denoise it.
    """
    shape = (1, *frame.gmap.shape)
    image, gmap = frame.noisy[None].numpy(), frame.gmap[None].numpy()
    item = ReconImage(image, gmap, Spectrum.white(shape), (1.0, 1.0, 5.0), ismrmrd.AcquisitionHeader())
    made = run_gadget(denoise, itertools.repeat(item), parse_header(stream.HEADER.encode()), parameters)
    images = (image for image in made if isinstance(image, ReconImage))

    def run() -> list[ReconImage]:
        return list(itertools.islice(images, 3 if parameters.residual else 2))

    _, second, *_ = run()
    if second.kind is not ImageKind.DENOISED:
        raise ModelError(f"the frame was {', '.join(second.warnings) or second.history[-1]}; expected it denoised")
    return run


def chain_rows(n_repetitions: int, bare: Run) -> Iterator[Row]:
    """A scan with denoising through the socket, the same scan without, and the network, in turn."""
    lines = stream.scan_lines(N_CHANNELS)
    first, later = b"".join(stream.encoded(lines, first=True)), stream.encoded(lines, first=False)
    with server_process() as (port, _):
        stream.stream(port, first, 1, (), denoised_only, ConfigFile(PIPELINE))

        def scan(configuration: ConfigFile | ConfigText, n_images: int) -> float:
            return stream.stream(port, first, n_repetitions, later, None, configuration, n_images)[0]

        def network_alone() -> None:  # as often, for a mean beside a mean
            for _ in range(n_repetitions):
                bare()

        without = ConfigText(without_denoising())
        rounds = [(scan(ConfigFile(PIPELINE), 3), scan(without, 2), seconds(network_alone, 1)) for _ in range(N_ROUNDS)]
    both, reconstruction, network = (min(times) for times in zip(*rounds, strict=True))
    name = f"{N_CHANNELS} channels, R = 4, {n_repetitions} repetitions through the socket with denoising"
    yield Row(f"{name}: over the longer of reconstruction and network", both / max(reconstruction, network), 1.3)
    yield Row(f"{name}: over the sum of the two", both / (reconstruction + network))
    yield Row(f"{name}: reconstruction over network", reconstruction / network)


def latency_rows() -> Iterator[Row]:
    """The first scan of a server that has warmed up, over its later ones; the median of each, of several servers."""
    first_repetition = b"".join(stream.encoded(stream.scan_lines(N_CHANNELS), first=True))
    for what, configuration, n_images in (
        ("with denoising", ConfigFile(PIPELINE), 3),
        ("without", ConfigText(without_denoising()), 2),
    ):
        scans = []
        for _ in range(N_SERVERS):
            with server_process() as (port, _):
                one = partial(stream.stream, port, first_repetition, 1, (), None, configuration, n_images)
                scans.append([one()[0] for _ in range(1 + N_LATER)])
        first, later = median(times[0] for times in scans), median(time for times in scans for time in times[1:])
        yield Row(f"a scan of one image {what}: the server's first over later ones", first / later)


def without_denoising() -> bytes:
    """The pipeline's configuration less its gadget `denoise`."""
    path = folder("pipelines") / f"{PIPELINE}.xml"
    root = parse_xml(path.read_bytes(), path.name, ConfigurationError)
    for parent in root.iter("configuration"):
        for element in parent.findall("gadget[@name='denoise']"):
            parent.remove(element)
    return ET.tostring(root)


def denoised_only(_n_images: int, image: ismrmrd.Image) -> None:
    """Raises ModelError where the second image of a repetition is not denoised."""
    if image.image_series_index == 2 and image.meta["SNRSTREAM_denoised"] != "true":
        raise ModelError(f"the scan's images are {image.meta['SNRSTREAM_warning']}; expected them denoised")
