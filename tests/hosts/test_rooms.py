"""Who may talk to the outside."""

import ast
from pathlib import Path

import snrstream

PACKAGE = Path(snrstream.__file__).parent
NETWORK = {"asyncio", "ftplib", "http", "requests", "select", "selectors", "smtplib", "socket", "socketserver"}
STORAGE_CLIENT = PACKAGE / "noise" / "storage_server.py"


def imported(file: Path) -> set[str]:
    """The packages that a file imports by their full names, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(node.module or "")
    return {"urllib.request" if name == "urllib.request" else name.partition(".")[0] for name in found}


def test_only_the_hosts_and_the_storage_client_open_sockets() -> None:
    files = [file for file in PACKAGE.rglob("*.py") if imported(file) & (NETWORK | {"urllib.request"})]
    others = [file for file in files if PACKAGE / "hosts" not in file.parents]
    assert others == [STORAGE_CLIENT]
    assert PACKAGE / "hosts" / "link.py" in files
