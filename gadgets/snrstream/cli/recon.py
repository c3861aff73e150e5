"""`snrstream recon`: raw data of a file to files, or of a pipe to a pipe, in this process."""

import argparse
from collections.abc import Iterator

import ismrmrd

from ..api import chosen_chain, only_images
from ..chain.chain import Chain
from ..errors import ConfigurationError, ScanError
from ..hosts.pipe_ends import standard_pipes
from ..hosts.pipes import reconstruct_pipe
from ..hosts.scan_source import RawScan, open_scan
from ..hosts.stream_reader import open_reader
from ..noise import store
from ..system.progress import Progress
from ..system.threads import limit_threads
from .outputs import check_required, finished, noise_id, output_folder, require_all, written


def recon(options: argparse.Namespace) -> Iterator[str]:
    """Reconstruct; lines that tell what came of it."""
    if options.from_stream and (options.scan or options.group):
        raise ConfigurationError("--from-stream reads stdin; expected no SCAN and no --group")
    limit_threads(options.threads)
    chain = chosen_chain(options.pipeline, dict(options.set), options.gadgets)
    if options.from_stream:
        yield from _of_pipe(chain, options)
        return
    only_noise = _keeps_noise_alone(chain)
    check_required("snrstream recon", scan=options.scan, **({} if only_noise else {"output": options.output}))
    with open_scan(options.scan, options.group) as scan:
        if only_noise:
            yield _kept_noise(chain, scan)
            return
        scan.header  # noqa: B018 - one that cannot be read leaves no folder behind
        with output_folder(options.output, scan.path):
            images, failure = finished(_images(chain, scan, options.pipeline))
            if not images:
                raise ScanError(f"{scan.path} gave no images with pipeline {options.pipeline}; expected at least one")
            line, missing = written(images, scan.header_xml, options.output)
            yield line
        require_all(failure, missing)


def _images(chain: Chain, scan: RawScan, pipeline: str) -> Iterator[ismrmrd.Image]:
    with Progress(scan.path.name, scan.n_acquisitions) as progress:
        items = progress.counting(scan.items())
        for image in only_images(ismrmrd.Image, chain.run(items, scan.header), pipeline):
            yield image
            progress.image()


def _of_pipe(chain: Chain, options: argparse.Namespace) -> Iterator[str]:
    """Images leave by stdout, and are written to files as well where a folder is named."""
    source, sink = standard_pipes()
    if options.output is None:
        for _ in reconstruct_pipe(chain, open_reader(source, "stdin"), sink):
            pass
        return
    with output_folder(options.output):
        reader = open_reader(source, "stdin")
        images, failure = finished(reconstruct_pipe(chain, reader, sink))
        if not images:
            raise ScanError(f"stdin gave no images with pipeline {options.pipeline}; expected at least one")
        line, missing = written(images, reader.header_xml, options.output)
        yield line
    require_all(failure, missing)


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
