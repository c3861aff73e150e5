"""`snrstream send`: raw data of a file through a server, and what comes back to files."""

import argparse
import contextlib
import logging
from collections.abc import Iterator

from ..hosts.client import is_noise_pipeline, stream_scan
from ..hosts.scan_source import open_scan
from ..output.image_values import meta_values
from .outputs import check_required, finished, noise_id, output_folder, require_all, written

log = logging.getLogger(__name__)


def send(options: argparse.Namespace) -> Iterator[str]:
    """Send; lines that tell what came back."""
    only_noise = is_noise_pipeline(options.pipeline)
    check_required("snrstream send", scan=options.scan, **({} if only_noise else {"output": options.output}))
    with open_scan(options.scan, options.group) as scan:
        if only_noise:
            noise_id(scan)
        place = contextlib.nullcontext() if only_noise else output_folder(options.output, scan.path)
        with place:
            received, failure = finished(
                stream_scan(scan, options.host, options.port, options.pipeline, dict(options.set), options.patience)
            )
            if not received:
                yield f"no images: noise measurement, kept as ID {noise_id(scan)} by the server, for scans that name it"
                return
            line, missing = written([r.image for r in received], scan.header_xml, options.output)
            yield line
    for warning in dict.fromkeys(w for r in received for w in meta_values(r.image, "SNRSTREAM_warning")):
        log.warning("%s", warning)
    slowest = max(r.latency_s for r in received)
    if failure is None:
        yield f"last image {1000 * slowest:.0f} ms after the last acquisition was sent"
    require_all(failure, missing)
