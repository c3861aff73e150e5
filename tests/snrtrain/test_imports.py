"""Imports within snrtrain go one way: down from the commands to recipe, metrics and work, and never in a circle."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

from tests.import_graph import ImportGraph

TOOLS = Path(__file__).resolve().parents[2] / "tools"
SNRTRAIN = ImportGraph(
    TOOLS / "snrtrain",
    (
        "commands", "benchmarks", "evaluation", "run", "export", "simulation", "methods", "networks", "archive", "work",
        "metrics", "recipe", "toml_file", "",
    ),
)  # fmt: skip


def test_every_import_leads_to_the_same_room_or_further_down():
    assert SNRTRAIN.upward() == []


def test_no_modules_import_each_other_in_a_circle():
    list(TopologicalSorter({module: SNRTRAIN.inside(module) for module in SNRTRAIN.modules}).static_order())


def test_the_demo_needs_the_runtime_alone_and_nothing_patches_the_path():
    roots = {
        name.split(".")[0]
        for node in ast.walk(ast.parse((TOOLS / "demo.py").read_text()))
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else
                     [alias.name for alias in node.names] if isinstance(node, ast.Import) else [])
    }  # fmt: skip
    assert "snrstream" in roots and not roots & {path.stem for path in TOOLS.iterdir()}
    assert not [path for path in TOOLS.rglob("*.py") if "sys.path" in path.read_text()]
