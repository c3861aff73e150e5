"""Imports within snrstream go one way, as data does: down from the commands to errors, and never in a circle."""

import json
import os
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from .import_graph import ImportGraph

GADGETS = Path(__file__).resolve().parents[1] / "gadgets"
SNRSTREAM = ImportGraph(
    GADGETS / "snrstream",
    (
        "__main__", "cli", "", "api", "hosts", "chain", "gadgetron", "gadgets", "denoising", "sorting", "noise",
        "items", "wire", "output", "recon", "image_kind", "system", "errors", "version",
    ),
)  # fmt: skip
FACES = ("snrstream", "snrstream.gadgetron")  # what users and Gadgetron name; each passes on what lies above it
COMMON_TO_GADGETS = {
    "snrstream.gadgets",
    "snrstream.gadgets.gadget",
    "snrstream.gadgets.pixel_axes",
    "snrstream.gadgets.shared",
    "snrstream.gadgets.shaped_image",
}
SOCKETS = {
    "asyncio", "ftplib", "http", "requests", "select", "selectors", "smtplib", "socket", "socketserver", "ssl",
    "urllib.request",
}  # fmt: skip
HEAVY = ("torch", "onnxruntime", "h5py", "numba", "scipy", "pydicom", "ismrmrd", "numpy")


def importers(packages: set[str]) -> set[str]:
    """The modules that import one of these packages."""
    return {module for module in SNRSTREAM.modules if SNRSTREAM.outside(module) & packages}


def of_rooms(*rooms: str) -> set[str]:
    return {module for module in SNRSTREAM.modules if SNRSTREAM.room(module) in rooms}


def test_every_room_has_a_floor() -> None:
    assert {SNRSTREAM.room(module) for module in SNRSTREAM.modules} <= set(SNRSTREAM.floors)


def test_every_import_leads_to_the_same_room_or_further_down() -> None:
    assert SNRSTREAM.upward(FACES) == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    list(TopologicalSorter({m: SNRSTREAM.inside(m) - set(FACES) for m in SNRSTREAM.modules}).static_order())


def test_a_face_is_imported_by_no_room() -> None:
    """Whoever needs what it passes on imports it from where it is made."""
    assert {m for m in of_rooms(*SNRSTREAM.floors[3:]) if SNRSTREAM.inside(m) & set(FACES)} == set()


def test_arrays_know_neither_ismrmrd_nor_files_nor_sockets() -> None:
    assert of_rooms("recon") & importers({"ismrmrd", "h5py", *SOCKETS}) == set()


def test_sockets_are_opened_by_hosts_and_the_client_of_the_storage_server_alone() -> None:
    assert importers(SOCKETS) - of_rooms("hosts") == {"snrstream.noise.storage_server"}
    assert "snrstream.hosts.link" in importers(SOCKETS)


def test_nothing_that_runs_at_a_scanner_imports_what_trains() -> None:
    assert importers({"snrtrain"}) == set()


def test_gadgets_do_not_import_each_other() -> None:
    gadgets = of_rooms("gadgets") - COMMON_TO_GADGETS
    assert {module: others for module in gadgets if (others := SNRSTREAM.inside(module) & gadgets)} == {}


@pytest.mark.parametrize("arguments", [["-c", "import snrstream"], ["-m", "snrstream", "--help"]], ids=" ".join)
def test_what_is_heavy_is_imported_where_it_is_used(arguments: list[str], tmp_path: Path) -> None:
    """Python's own hook at the end of a process tells what that had imported."""
    told = tmp_path / "modules.json"
    tell = f"open({str(told)!r}, 'w').write(json.dumps(list(sys.modules)))"
    (tmp_path / "sitecustomize.py").write_text(f"import atexit, json, sys\natexit.register(lambda: {tell})\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(GADGETS)])}
    subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, check=True, timeout=60)
    loaded = json.loads(told.read_text())
    assert "snrstream" in loaded and not set(HEAVY) & set(loaded)
