"""Which files of this repository a program needs: what it imports, directly or not, and their data."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

PAGE = "app.py"
# Gradio writes `.pyi` beside its components.
NO_DATA = (".py", ".pyi", ".pyc")


def needed_files(root: Path, entries: Iterable[str] = (PAGE,)) -> list[str]:
    """Paths below `root`, sorted: modules, the data files beside them, and their packages' `__init__.py`.

    Imports are read from the source, those within functions too, so nothing is imported here.

    Args:
        entries: the modules to begin with, by their paths below `root`.
    """
    modules: set[Path] = set()
    open_ends = [root / entry for entry in entries]
    while open_ends:
        if (module := open_ends.pop()) not in modules:
            modules.add(module)
            open_ends += _imported_files(module, root)
    folders = {module.parent for module in modules if module.parent != root}
    data = {file for folder in folders for file in folder.iterdir() if _is_data(file)}
    return sorted(file.relative_to(root).as_posix() for file in modules | data)


def _is_data(file: Path) -> bool:
    return file.is_file() and file.suffix not in NO_DATA and not file.name.startswith(".")


def _imported_files(module: Path, root: Path) -> Iterator[Path]:
    """Files of this repository that a module imports, and of the packages that they lie in."""
    for name in _imported_names(module):
        parts = name.split(".")
        for depth in range(1, len(parts) + 1):
            path = root.joinpath(*parts[:depth])
            for file in (path.with_suffix(".py"), path / "__init__.py"):
                if file.is_file():
                    yield file


def _imported_names(module: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            # What is imported from a package may be a module of it.
            yield from (f"{node.module}.{each.name}" for each in node.names)
