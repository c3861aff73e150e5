"""The imports of a package's modules, read from their source: also those in a function, or for types alone."""

import ast
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path


@dataclass(frozen=True)
class ImportGraph:
    """Of the package in the folder `root`. floors: its rooms from the top; "" is its own `__init__`.

    A room is what stands right below the package, a folder or a file.
    """

    root: Path
    floors: tuple[str, ...]

    @cached_property
    def modules(self) -> dict[str, Path]:
        """Each module's whole name, and its file."""
        paths = sorted(self.root.rglob("*.py"))
        return {
            ".".join(p.relative_to(self.root.parent).with_suffix("").parts).removesuffix(".__init__"): p for p in paths
        }

    def room(self, module: str) -> str:
        return [*module.split("."), ""][1]

    def inside(self, module: str) -> set[str]:
        """The modules of the package that one of them imports."""
        return {name for name in self._imported(module) if name in self.modules} - {module}

    def outside(self, module: str) -> set[str]:
        """The other packages, and their submodules, that it imports: `http.server` gives `http`, too."""
        names = {name for name in self._imported(module) if name.split(".")[0] != self.root.name}
        return names | {name.split(".")[0] for name in names}

    def upward(self, faces: tuple[str, ...] = ()) -> list[str]:
        """Imports of a room above their own. faces: modules that may, for they only pass names on."""
        floor = {room: number for number, room in enumerate(self.floors)}
        return [
            f"{module} imports {other}"
            for module in self.modules if module not in faces
            for other in sorted(self.inside(module)) if floor[self.room(other)] < floor[self.room(module)]
        ]  # fmt: skip

    def _imported(self, module: str) -> set[str]:
        path, names = self.modules[module], set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
                start = package[: len(package) - node.level + 1] if node.level else []
                base = ".".join([*start, *(node.module or "").split(".")]).rstrip(".")
                found = {f"{base}.{alias.name}" for alias in node.names}
                names |= {name if name in self.modules else base for name in found}
        return names
