"""`snrstream recon`: raw data of a file to files, or of a pipe to a pipe, in this process."""

import argparse
from collections.abc import Iterator

import ismrmrd

from ..api import chosen_chain, only_images
from ..chain.chain import Chain
from ..errors import ConfigurationError, ConnectionFailed, ProtocolError, ScanError
from ..hosts.pipe_ends import standard_pipes
from ..hosts.pipes import reconstruct_pipe
from ..hosts.scan_source import RawScan, open_scan
from ..noise import store
from ..system.progress import Progress
from ..system.threads import limit_threads
from .outputs import check_required, noise_id, output_folder, written


def recon(options: argparse.Namespace) -> Iterator[str]:
    """Reconstruct; lines that tell what came of it."""
    if options.from_stream and (options.scan or options.output):
        raise ConfigurationError("--from-stream reads stdin and writes stdout; expected no SCAN and no --output")
    limit_threads(options.threads)
    chain = chosen_chain(options.pipeline, dict(options.set), options.gadgets)
    if options.from_stream:
        reconstruct_pipe(chain, *standard_pipes())
        return
    only_noise = _keeps_noise_alone(chain)
    check_required("snrstream recon", scan=options.scan, **({} if only_noise else {"output": options.output}))
    with open_scan(options.scan) as scan:
        if only_noise:
            yield _kept_noise(chain, scan)
            return
        scan.header  # noqa: B018 - one that cannot be read leaves no folder behind
        with output_folder(options.output, scan.path):
            images, failure = _images(chain, scan, options.pipeline)
            yield written(images, scan, options.output)
        if failure is not None:
            raise failure


def _images(chain: Chain, scan: RawScan, pipeline: str) -> tuple[list[ismrmrd.Image], Exception | None]:
    """The images, and why there are no more where the scan breaks off: what came first may be all that there is."""
    images: list[ismrmrd.Image] = []
    try:
        with Progress(scan.path.name, scan.n_acquisitions) as progress:
            items = progress.counting(scan.items())
            for image in only_images(ismrmrd.Image, chain.run(items, scan.header), pipeline):
                images.append(image)
                progress.image()
    except (ProtocolError, ConnectionFailed) as exc:
        if not images:
            raise
        return images, ProtocolError(f"{exc}: the images are of what came before")
    if not images:
        raise ScanError(f"{scan.path} gave no images with pipeline {pipeline}; expected at least one")
    return images, None


def _keeps_noise_alone(chain: Chain) -> bool:
    """Whether the chain is one for noise measurements, which gives no images."""
    return any(getattr(parameters, "measure_only", False) for _, parameters in chain.steps)


def _kept_noise(chain: Chain, scan: RawScan) -> str:
    """Run a chain that keeps a noise measurement; the line that tells of it."""
    measurement = noise_id(scan)
    for _ in chain.run(scan.items(), scan.header):
        pass
    if measurement not in store.measurements():
        raise ScanError(f"noise measurement of {scan.path} is not kept; the log says why")
    return f"noise measurement kept as ID {measurement}, for scans that name it"
