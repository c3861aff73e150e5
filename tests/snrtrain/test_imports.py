"""Imports within snrtrain go one way: down from the commands to recipe, metrics and work, and never in a circle."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

TOOLS = Path(__file__).resolve().parents[2] / "tools"
FLOORS = (
    "commands", "benchmarks", "evaluation", "run", "export", "simulation", "methods", "networks", "archive", "work",
    "metrics", "recipe", "",
)  # fmt: skip


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(TOOLS).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(path): path for path in (TOOLS / "snrtrain").rglob("*.py")}


def imported(name: str) -> set[str]:
    """The modules of snrtrain that a module imports anywhere, also in a function, or for its types alone."""
    found = set()
    package = name if MODULES[name].name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(part for part in (package if node.level else "", node.module or "") if part)
            found |= {f"{base}.{alias.name}" if f"{base}.{alias.name}" in MODULES else base for alias in node.names}
    return {module for module in found if module in MODULES} - {name}


def floor(name: str) -> int:
    return FLOORS.index([*name.split("."), ""][1])


def test_every_import_leads_to_the_same_room_or_further_down():
    upwards = [f"{name} imports {other}" for name in MODULES for other in imported(name) if floor(other) < floor(name)]
    assert upwards == []


def test_no_modules_import_each_other_in_a_circle():
    list(TopologicalSorter({name: imported(name) for name in MODULES}).static_order())


def test_the_demo_needs_the_runtime_alone_and_nothing_patches_the_path():
    roots = {
        name.split(".")[0]
        for node in ast.walk(ast.parse((TOOLS / "demo.py").read_text()))
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else
                     [alias.name for alias in node.names] if isinstance(node, ast.Import) else [])
    }  # fmt: skip
    assert "snrstream" in roots and not roots & {path.stem for path in TOOLS.iterdir()}
    assert not [path for path in TOOLS.rglob("*.py") if "sys.path" in path.read_text()]
