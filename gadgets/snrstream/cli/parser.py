"""What the command line takes: `options.command` names the command, the other attributes its options."""

import argparse
import sys
from pathlib import Path
from typing import NoReturn

from ..system.patience import PATIENCE_S, SERVER_PATIENCE_S, patience
from ..system.resources import DEFAULT_PIPELINE
from ..version import __version__

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 9002


def fail(text: str) -> int:
    """One line on stderr, whatever the text holds; the status of a failure."""
    print(f"snrstream: {' '.join(text.split())[:1000]}", file=sys.stderr)
    return 1


class Parser(argparse.ArgumentParser):
    """Refuses in one line, with status 1."""

    def error(self, message: str) -> NoReturn:
        """Tell what is wrong, and end."""
        sys.exit(fail(f"{message} (see {self.prog} --help)"))


def parser() -> Parser:
    """The parser of all commands."""
    whole = Parser(prog="snrstream", description="Streaming MRI reconstruction and denoising in SNR units.")
    whole.add_argument("--version", action="version", version=f"snrstream {__version__}")
    commands = whole.add_subparsers(required=True, metavar="COMMAND", dest="command", parser_class=Parser)

    recon = commands.add_parser("recon", help="reconstruct raw data of a file, or a stream, in this process")
    serve = commands.add_parser("serve", help="reconstruct what clients stream to this host")
    send = commands.add_parser("send", help="stream raw data of a file to a server and save the images")
    models = commands.add_parser("models", help="list, show, check or record the denoising models")
    gadgets = commands.add_parser("gadgets", help="list the gadgets of which pipelines consist, or show one")
    gadgets.add_argument("name", metavar="NAME", nargs="?", help="show its properties: type, default and meaning")
    for command in (recon, serve, send, gadgets, *_actions(models)):
        command.add_argument("-v", "--verbose", action="store_true", help="log more")
    for command in (recon, send):
        _add_scan(command)
    recon.add_argument(
        "--from-stream", action="store_true", help="in place of SCAN: a stream on stdin, its images on stdout"
    )
    for command in (recon, serve):
        command.add_argument(
            "--threads", type=_count, default=1, help="of one scan's frames; calibration takes all cores (%(default)s)"
        )
    for command in (recon, serve, gadgets):
        command.add_argument(
            "--gadgets", metavar="FOLDER", type=Path, help="gadgets of your own, which pipelines may name"
        )
    for command in (serve, send):
        command.add_argument("--host", default=DEFAULT_HOST, help="address (%(default)s)")
        command.add_argument("--port", type=_port, default=DEFAULT_PORT, help="TCP port (%(default)s)")
    serve.add_argument("--clients", type=_count, default=8, help="served at once; more are refused (%(default)s)")
    for command, peer, seconds in ((serve, "a client", PATIENCE_S), (send, "the server", SERVER_PATIENCE_S)):
        command.add_argument(
            "--patience", type=_seconds, default=seconds, metavar="S",
            help=f"how long {peer} may send, or take, nothing (%(default)g s)",
        )  # fmt: skip
    serve.add_argument("--keep-raw", type=Path, metavar="DIR", help="keep raw data of scans that fail, for `recon`")
    return whole


def _add_scan(command: argparse.ArgumentParser) -> None:
    """What `recon` and `send` have in common."""
    command.add_argument(
        "scan",
        metavar="SCAN",
        nargs="?",
        help="raw data: an ISMRMRD HDF5 file, a stream of ISMRMRD messages such as --keep-raw keeps, or of MRD v2",
    )
    command.add_argument(
        "--pipeline",
        metavar="NAME|FILE",
        default=DEFAULT_PIPELINE,
        help="grappa_snr, grappa_denoise (default), grappa_denoise_volume (3D scans), default_measurement_dependencies "
        "(keeps a noise measurement, gives no images) or an XML file of your own",
    )
    command.add_argument("--output", metavar="DIR", type=Path, help="folder for the images")
    command.add_argument(
        "--group",
        metavar="NAME",
        help="which scan of an HDF5 file with several (dataset, or the only one)",
    )
    command.add_argument(
        "--set", metavar="KEY=VALUE", type=_setting, action="append", default=[],
        help="a property of the pipeline's gadgets in place of its own, such as alpha=0.5; may be repeated",
    )  # fmt: skip


def _actions(models: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    """The actions of `models`."""
    actions = models.add_subparsers(required=True, metavar="ACTION", dest="action", parser_class=Parser)
    of_all = actions.add_parser("list", help="one line for each model, with the folder where it lies")
    show = actions.add_parser("show", help="what a model's manifest says, and whether its file is that of the manifest")
    check = actions.add_parser("check", help="run models: recorded answer, noise reduction, speed, seam of tiles")
    record = actions.add_parser("record", help="keep a model's answer of today in its folder, for later checks")
    for action in (show, record):
        action.add_argument("name", metavar="NAME", help="folder of models/")
    check.add_argument("names", metavar="NAME", nargs="*", help="folders of models/ (all)")
    return [of_all, show, check, record]


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
        return patience(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from None


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"port is {text!r}; expected a number from 0 to 65535")
    return int(text)
