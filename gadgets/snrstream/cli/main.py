"""The command `snrstream`. Results on stdout, progress and logs on stderr, status 1 and one line on failure."""

import argparse
import logging
import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from .. import __version__
from ..errors import ConfigurationError, ScanError, SnrstreamError
from ..system.log_levels import quiet_third_parties
from ..system.time_limit import leave

if TYPE_CHECKING:
    import ismrmrd

    from ..system.progress import Progress

DEFAULT_HOST, DEFAULT_PORT, DEFAULT_PIPELINE = "127.0.0.1", 9002, "grappa_denoise"
log = logging.getLogger("snrstream.cli.main")  # even where it runs as __main__


def command() -> NoReturn:
    """The process `snrstream`, to its end."""
    leave(main())


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit status."""
    # numpy multiplies small matrices only, one for each acquisition. Its threads gain nothing there, and wait
    # for each other a thousand times as long as the product takes where the cores are busy.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    options = _parser().parse_args(arguments)
    logging.basicConfig(
        handlers=[_LogHandler()],
        force=True,
        level=logging.DEBUG if options.verbose else logging.INFO,
        # A server's clients have threads that bear their addresses, and its log spans days.
        format=f"%(asctime)s %(levelname)-7s {'%(threadName)s: ' if options.run is _serve else ''}%(message)s",
        datefmt="%Y-%m-%d %H:%M:%S" if options.run is _serve else "%H:%M:%S",
    )
    quiet_third_parties()
    try:
        options.run(options)
    except SnrstreamError as exc:
        return _fail(str(exc))
    except KeyboardInterrupt:
        return _fail("interrupted")
    except Exception as exc:
        log.debug("the defect in full:", exc_info=True)
        return _fail(f"internal error, please report it: {type(exc).__name__}: {exc}")
    return 0


def _recon(options: argparse.Namespace) -> None:
    _check_source(options)
    from ..chain.chain import parse_chain
    from ..chain.pipelines import chain_file, named_chain, read_configuration
    from ..chain.registry import registry
    from ..hosts.openrecon import with_properties
    from ..system.progress import Progress
    from ..system.threads import limit_threads
    from ..wire.header import parse_header
    from ..wire.scan_file import ScanFile

    limit_threads(options.threads)
    file = chain_file(options.pipeline)
    known = registry()
    chain = (
        named_chain(options.pipeline, known)
        if file is None
        else parse_chain(read_configuration(file), file.name, known)
    )
    chain = with_properties(chain, options.pipeline, dict(options.set))
    if options.from_stream:
        from ..hosts.pipe_ends import standard_pipes
        from ..hosts.pipes import reconstruct

        reconstruct(chain, *standard_pipes())
        return
    with ScanFile(options.scan) as scan:
        header = parse_header(scan.header_xml)
        _check_output(options)
        images: list[ismrmrd.Image] = []
        with Progress(scan.path.name, scan.n_acquisitions) as progress:
            for image in _only_images(chain.run(_counted(scan.acquisitions(), progress), header), options.pipeline):
                images.append(image)
                progress.image()
        _write(images, scan.header_xml, options.output)


def _send(options: argparse.Namespace) -> None:
    from ..hosts.client import send_scan
    from ..output.image_values import meta_values
    from ..wire.scan_file import ScanFile

    with ScanFile(options.scan) as scan:
        _check_output(options)
        received = send_scan(scan, options.host, options.port, options.pipeline, dict(options.set))
        _write([r.image for r in received], scan.header_xml, options.output)
        for warning in dict.fromkeys(w for r in received for w in meta_values(r.image, "SNRSTREAM_warning")):
            log.warning("%s", warning)
    if received:
        slowest = max(r.latency_s for r in received)
        _say(f"last image {1000 * slowest:.0f} ms after the last acquisition was sent")


def _serve(options: argparse.Namespace) -> None:
    from ..chain.registry import registry
    from ..hosts.conversation import Options
    from ..hosts.raw_record import record_folder
    from ..hosts.server import serve
    from ..system.threads import limit_threads

    folder = record_folder(options.keep_raw) if options.keep_raw is not None else None
    try:
        limit_threads(options.threads)
        serve(options.host, options.port, Options(options.clients, options.patience, folder, registry()))
    except KeyboardInterrupt:
        log.info("stopped")


def _models(options: argparse.Namespace) -> None:
    from .models import check_models, list_models, record_model, show_model

    if options.action == "list":
        lines = list_models()
    elif options.action == "show":
        lines = show_model(options.name)
    elif options.action == "record":
        lines = record_model(options.name)
    else:
        lines = check_models(options.names)
    for line in lines:
        _say(line)


def _write(images: "list[ismrmrd.Image]", header_xml: bytes, folder: Path) -> None:
    from ..output.files import write_outputs
    from ..wire.header import parse_header

    if not images:
        _say("no images, as of a noise measurement alone")
        return
    write_outputs(images, header_xml, parse_header(header_xml), folder)
    series = ", ".join(str(n) for n in sorted({image.image_series_index for image in images}))
    _say(f"{len(images)} images (series {series}) in {folder}: images.h5, dicom/, preview.png")


def _check_source(options: argparse.Namespace) -> None:
    """A file and a folder for its images, or a pipe."""
    of_file = {"SCAN.h5": options.scan, "--output": options.output}
    if options.from_stream and any(of_file.values()):
        raise ConfigurationError("--from-stream reads stdin and writes stdout; expected no SCAN.h5 and no --output")
    missing = [name for name, value in of_file.items() if value is None]
    if missing and not options.from_stream:
        raise ConfigurationError(f"the following arguments are required: {', '.join(missing)} (or --from-stream)")


def _check_output(options: argparse.Namespace) -> None:
    """Find out before the reconstruction, not after it."""
    try:
        options.output.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise ConfigurationError(f"output folder {options.output} cannot be made: {exc.strerror}") from None
    if Path(options.scan).resolve() in [(options.output / name).resolve() for name in ("images.h5", "preview.png")]:
        raise ConfigurationError(f"output would overwrite the scan {options.scan}; expected another folder")
    from ..output.files import check_replaceable

    check_replaceable(options.output)


def _counted(acquisitions: Iterator[Any], progress: "Progress") -> Iterator[Any]:
    for acquisition in acquisitions:
        progress.acquisition()
        yield acquisition


def _only_images(items: Iterator[Any], pipeline: str) -> "Iterator[ismrmrd.Image]":
    import ismrmrd

    for item in items:
        if not isinstance(item, ismrmrd.Image):
            raise ScanError(
                f"pipeline {pipeline} lets {type(item).__name__}s pass; expected the gadget accumulate in it"
            )
        yield item


class _LogHandler(logging.Handler):
    """To stderr, above a progress bar that may be drawn there."""

    def emit(self, record: logging.LogRecord) -> None:
        from tqdm import tqdm

        tqdm.write(self.format(record), file=sys.stderr)


def _say(text: str) -> None:
    """A result on stdout; a reader that is gone or cannot show it does not undo what was written."""
    try:
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
        print(text, flush=True)
    except (OSError, ValueError) as exc:
        log.warning("stdout cannot be written: %s", exc)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or it fails again at exit


def _fail(text: str) -> int:
    print(f"snrstream: {' '.join(text.split())[:1000]}", file=sys.stderr)
    return 1


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        sys.exit(_fail(f"{message} (see {self.prog} --help)"))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="snrstream", description="Streaming MRI reconstruction and denoising in SNR units.")
    parser.add_argument("--version", action="version", version=f"snrstream {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)

    recon = commands.add_parser("recon", help="reconstruct a raw data file, or a stream, in this process")
    serve = commands.add_parser("serve", help="reconstruct what clients stream to this host")
    send = commands.add_parser("send", help="stream a raw data file to a server and save the images")
    models = commands.add_parser("models", help="list, show, check or record the denoising models")
    actions = models.add_subparsers(required=True, metavar="ACTION", dest="action", parser_class=_Parser)
    of_all = actions.add_parser("list", help="one line for each folder of models/")
    show = actions.add_parser("show", help="what a model's manifest says, and whether its file is that of the manifest")
    check = actions.add_parser("check", help="run models: recorded answer, noise reduction, speed, seam of tiles")
    record = actions.add_parser("record", help="keep a model's answer of today in its folder, for later checks")
    for action in (show, record):
        action.add_argument("name", metavar="NAME", help="folder of models/")
    check.add_argument("names", metavar="NAME", nargs="*", help="folders of models/ (all)")
    for command, run in (
        (recon, _recon),
        (serve, _serve),
        (send, _send),
        *((c, _models) for c in (of_all, show, check, record)),
    ):
        command.set_defaults(run=run)
        command.add_argument("-v", "--verbose", action="store_true", help="log more")
    for command in (recon, send):
        optional = {"nargs": "?"} if command is recon else {}
        command.add_argument("scan", metavar="SCAN.h5", help="ISMRMRD HDF5 file", **optional)
        command.add_argument(
            "--pipeline",
            metavar="NAME|FILE",
            default=DEFAULT_PIPELINE,
            help="grappa_snr, grappa_denoise (default) or an XML file of your own",
        )
        command.add_argument(
            "--output", metavar="DIR", type=Path, required=command is send, help="folder for the results"
        )
        command.add_argument(
            "--set", metavar="KEY=VALUE", type=_setting, action="append", default=[],
            help="a property of the pipeline's gadgets in place of its own, such as alpha=0.5; may be repeated",
        )  # fmt: skip
    recon.add_argument(
        "--from-stream", action="store_true", help="in place of SCAN.h5: a stream on stdin, its images on stdout"
    )
    for command in (recon, serve):
        command.add_argument("--threads", type=_count, default=1, help="of one scan's reconstruction (%(default)s)")
    for command in (serve, send):
        command.add_argument("--host", default=DEFAULT_HOST, help="address (%(default)s)")
        command.add_argument("--port", type=_port, default=DEFAULT_PORT, help="TCP port (%(default)s)")
    serve.add_argument("--clients", type=_count, default=8, help="served at once; more are refused (%(default)s)")
    serve.add_argument(
        "--patience", type=_seconds, default=900.0, metavar="S", help="how long a client may be silent (%(default)g s)"
    )
    serve.add_argument(
        "--keep-raw", type=Path, metavar="DIR", help="keep raw data of scans that fail, for `recon --from-stream`"
    )
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1024:
        raise argparse.ArgumentTypeError(f"number is {text!r}; expected 1 to 1024")
    return int(text)


def _setting(text: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not (key and separator):
        raise argparse.ArgumentTypeError(f"setting is {text!r}; expected KEY=VALUE")
    return key, value


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= 1e6:
        raise argparse.ArgumentTypeError(f"time is {text!r}; expected seconds, above 0, to 1e6")
    return seconds


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"port is {text!r}; expected a number from 0 to 65535")
    return int(text)


if __name__ == "__main__":
    command()
