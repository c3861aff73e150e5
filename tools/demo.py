"""Stream the shipped brain scan to a server on loopback, and tell what came back.

    python tools/demo.py --output out/demo

Needs the runtime only. Leaves images.h5, dicom/ and preview.png in the output folder.
"""

import argparse
import dataclasses
import sys
from pathlib import Path

import numpy as np
import torch
from ismrmrd import xsd
from tqdm import tqdm

from snrstream.errors import ModelError, SnrstreamError
from snrstream.gadgets import accumulate, coil_combine, denoise, grappa, noise_adjust
from snrstream.gadgets.gadget import run as run_gadget
from snrstream.hosts.client import Received, send_scan
from snrstream.hosts.server_process import server_process
from snrstream.items import Bucket, ReconImage
from snrstream.output.files import write_outputs
from snrstream.wire.header import cartesian_encoding, parse_header
from snrstream.wire.scan_file import ScanFile

SCAN = Path(__file__).resolve().parent.parent / "data" / "brain_16ch_r3.h5"
PIPELINE = "grappa_denoise"
IN_OBJECT = 5.0  # the object is where the SNR before denoising is above this
SERIES = {1: "original", 2: "denoised", 20: "g-map"}


def main() -> int:
    """Run the demo by the command line; its status is 1 where it cannot."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--output", type=Path, default=Path("out/demo"), help="folder for the results (%(default)s)")
    parser.add_argument("--replicas", type=int, default=32, help="noise replicas for the SNR figures (%(default)s)")
    options = parser.parse_args()
    try:
        run(options.output, options.replicas)
    except SnrstreamError as exc:
        print(f"demo: {exc}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("demo: interrupted", file=sys.stderr)
        return 1
    except OSError as exc:
        print(f"demo: {exc.filename or 'a file'} cannot be read or written: {exc.strerror or exc}", file=sys.stderr)
        return 1
    return 0


def run(output: Path, n_replicas: int) -> None:
    """The scan twice through the server, for the first one warms it up; then the noise replicas."""
    with ScanFile(SCAN) as scan:
        header = parse_header(scan.header_xml)
        with server_process() as (port, _):
            first = send_scan(scan, "127.0.0.1", port, PIPELINE)
            received = send_scan(scan, "127.0.0.1", port, PIPELINE)
        write_outputs([r.image for r in received], scan.header_xml, header, output)
        meta = next(r.image.meta for r in received if r.image.image_series_index == 2)
        if meta["SNRSTREAM_denoised"] != "true":
            raise ModelError(f"the images in {output} are {meta['SNRSTREAM_warning']}")
        before, after, n_pixels = snr_before_and_after(scan, header, received, n_replicas)
        n_channels = next(scan.acquisitions()).active_channels
    rows = [
        ("scan", f"{SCAN.name}: {n_channels} channels, R = {cartesian_encoding(header).acceleration[0]}, "
                 f"{scan.n_acquisitions} acquisitions through the socket"),
        ("latency, first scan", latencies(first)),
        ("latency, warm", latencies(received)),
        ("SNR in the object", f"{before:.1f} before, {after:.1f} after: median of {n_pixels} pixels with SNR > "
                              f"{IN_OBJECT:g}, noise after by {n_replicas} replicas"),
        ("model", meta["SNRSTREAM_model"]),
        ("sha256", meta["SNRSTREAM_model_sha256"]),
        ("alpha", f"{meta['SNRSTREAM_alpha']} of the original in the denoised image"),
        ("results", f"{output}/: preview.png, images.h5, dicom/"),
    ]  # fmt: skip
    width = max(len(name) for name, _ in rows)
    print("\n".join(f"{name:<{width}}  {text}" for name, text in rows))


def latencies(received: list[Received]) -> str:
    """From the last acquisition sent until each image had arrived."""
    return ", ".join(f"{SERIES[r.image.image_series_index]} {1000 * r.latency_s:.0f} ms" for r in received)


def snr_before_and_after(
    scan: ScanFile, header: xsd.ismrmrdHeader, received: list[Received], n_replicas: int
) -> tuple[float, float, int]:
    """Median SNR in the object, before and after denoising, and the number of its pixels.

    Before: |original| / g, as reconstructed. After: |denoised| over the SD, per real and imaginary part,
    of replicas with unit noise added to the prewhitened k-space (Robson et al., MRM 60:895, 2008; for a
    network as in SNRAware, arXiv 2503.18162). The noise that is in the scan stays in all of them.
    """
    white = run_gadget(noise_adjust, scan.acquisitions(), header, noise_adjust.Parameters())
    buckets = run_gadget(
        grappa, run_gadget(accumulate, white, header, accumulate.Parameters(device="cpu")), header, grappa.Parameters()
    )
    bucket = next(item for item in buckets if isinstance(item, Bucket))
    alpha = float(next(r.image.meta["SNRSTREAM_alpha"] for r in received if r.image.image_series_index == 2))
    original, denoised = reconstruct(bucket, header, alpha)
    generator = torch.Generator().manual_seed(0)
    replicas = []
    for _ in tqdm(range(n_replicas), desc="noise replicas", disable=None):
        noise = 2**0.5 * torch.randn(bucket.kspace.shape, dtype=torch.complex64, generator=generator)
        # Halved in power, the noise of scan and replica together is unit noise again, as the network expects.
        noisy = (bucket.kspace + noise * bucket.line_sd[..., None]) / 2**0.5
        denoised_replica = reconstruct(dataclasses.replace(bucket, kspace=noisy), header, alpha)[1]
        replicas.append(2**0.5 * denoised_replica.image)
    sd_after = np.sqrt(np.var(np.stack(replicas), axis=0, ddof=1) / 2)
    before = np.abs(original.image) / original.gmap
    inside = before > IN_OBJECT
    after = np.abs(denoised.image) / sd_after
    return float(np.median(before[inside])), float(np.median(after[inside])), int(np.count_nonzero(inside))


def reconstruct(bucket: Bucket, header: xsd.ismrmrdHeader, alpha: float) -> tuple[ReconImage, ReconImage]:
    """The image in SNR units, and the denoised one."""
    images = run_gadget(coil_combine, [bucket], header, coil_combine.Parameters())
    made = run_gadget(denoise, images, header, denoise.Parameters(alpha=alpha))
    original, denoised = (item for item in made if isinstance(item, ReconImage))
    return original, denoised


if __name__ == "__main__":
    sys.exit(main())
