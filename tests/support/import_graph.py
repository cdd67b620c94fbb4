"""Who imports whom in the package, read from its files."""

from __future__ import annotations

import ast
from pathlib import Path

import lightning_untrac
from lightning_untrac import callbacks

PACKAGE = "lightning_untrac"


def modules() -> dict[str, Path]:
    """Every module of the package and its file."""
    found = {}
    for prefix, module in ((PACKAGE, lightning_untrac), (f"{PACKAGE}.callbacks", callbacks)):
        folder = Path(str(module.__file__)).parent
        for path in folder.rglob("*.py"):
            parts = path.relative_to(folder).with_suffix("").parts
            found[".".join([prefix, *(part for part in parts if part != "__init__")])] = path
    return found


def imports() -> dict[str, set[str]]:
    """The modules that each module names in an import, also one that is there for types or run later."""
    files = modules()
    found: dict[str, set[str]] = {}
    for name, path in files.items():
        named: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                named |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module is not None:
                inner = {f"{node.module}.{alias.name}" for alias in node.names}
                named |= {one if one in files else node.module for one in inner}
        found[name] = {one for one in named if one in files and one != name}
    return found


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Ways that lead back to where they began, one for each knot.

    Example:
        >>> circles({"a": {"b"}, "b": {"c"}, "c": {"b"}})
        [['b', 'c', 'b']]
    """
    found, settled = [], set[str]()

    def visit(name: str, way: list[str]) -> None:
        if name in way:
            found.append([*way[way.index(name) :], name])
        elif name not in settled:
            for other in sorted(graph[name]):
                visit(other, [*way, name])
            settled.add(name)

    for name in sorted(graph):
        visit(name, [])
    return found
