"""Corpora of real text that every machine with this package has: read where they are installed, never copied anywhere.

Six corpora: Python source, docstrings, licences, descriptions of packages (README files), C++ headers and typing stubs.
Five test sets: new documents of three of them, and two kinds that no corpus is: comments and unit tests. Which files
there are depends on the machine, so figures from two machines differ somewhat.
"""

from __future__ import annotations

import ast
import json
import random
import sysconfig
from collections.abc import Iterator
from email.parser import HeaderParser
from importlib.util import find_spec
from pathlib import Path

STDLIB = Path(sysconfig.get_path("stdlib"))
SITE = Path(str(find_spec("torch").origin)).parents[1]  # type: ignore[union-attr]
"""Where torch is: a virtual environment may borrow its packages from another."""
SHORTEST, LONGEST = 200, 1500
"""Characters of a document; longer texts are cut into several."""


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _modules() -> list[ast.Module]:
    trees = []
    for path in sorted(STDLIB.glob("*.py")):
        try:
            trees.append(ast.parse(_read(path)))
        except SyntaxError:
            continue
    return trees


def source() -> Iterator[str]:
    """Functions and classes of the standard library, without comments and docstrings."""
    for tree in _modules():
        for node in tree.body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                for inner in ast.walk(node):
                    if isinstance(inner, (ast.FunctionDef, ast.ClassDef)) and ast.get_docstring(inner) is not None:
                        inner.body = inner.body[1:] or [ast.Pass()]
                yield ast.unparse(node)


def docstrings() -> Iterator[str]:
    """Docstrings of the standard library."""
    for tree in _modules():
        for node in ast.walk(tree):
            if isinstance(node, (ast.Module, ast.FunctionDef, ast.ClassDef)):
                yield ast.get_docstring(node) or ""


def licences() -> Iterator[str]:
    """Licence files of the installed packages."""
    for path in sorted(SITE.glob("*.dist-info/**/*")):
        if path.is_file() and path.name.upper().startswith(("LICENSE", "LICENCE", "COPYING", "NOTICE")):
            yield _read(path)


def readmes() -> Iterator[str]:
    """Descriptions in the metadata of the installed packages."""
    for path in sorted(SITE.glob("*.dist-info/METADATA")):
        yield str(HeaderParser().parsestr(_read(path)).get_payload())


def headers() -> Iterator[str]:
    """C++ headers that torch brings."""
    for path in sorted((SITE / "torch" / "include" / "ATen").glob("*.h")):
        yield _read(path)


def stubs() -> Iterator[str]:
    """Typing stubs of the installed packages."""
    for path in sorted(SITE.glob("*/**/*.pyi"))[:400]:
        yield _read(path)


def comments() -> Iterator[str]:
    """Blocks of comments in torch's own Python code."""
    for path in sorted((SITE / "torch").glob("*/*.py"))[:600]:
        lines = [line.strip() for line in _read(path).splitlines()]
        yield "\n".join(line for line in lines if line.startswith("# "))


def unit_tests() -> Iterator[str]:
    """Unit tests that installed packages bring."""
    for path in sorted(SITE.glob("*/tests/test_*.py"))[:200]:
        yield _read(path)


CORPORA = {
    "source": source,
    "docstrings": docstrings,
    "licences": licences,
    "readmes": readmes,
    "headers": headers,
    "stubs": stubs,
}
NEW_KINDS = {"comments": comments, "unit_tests": unit_tests}
HELD_OUT = ("docstrings", "readmes", "headers")
"""Corpora of which new documents are a test set."""

TEST_EXAMPLES, TEST_CHARACTERS = 64, 300


def documents(kind: str) -> list[str]:
    """Distinct texts of a kind, in an order that is the same every time; long ones are cut into several."""
    texts = {**CORPORA, **NEW_KINDS}[kind]()
    pieces = (text[start : start + LONGEST] for text in texts for start in range(0, max(1, len(text)), LONGEST))
    unique = list(dict.fromkeys(piece.strip() for piece in pieces if len(piece.strip()) >= SHORTEST))
    random.Random(kind).shuffle(unique)
    return unique


def _write(path: Path, texts: list[str]) -> Path:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    return path


def write_corpora(folder: Path, characters: dict[str, int]) -> tuple[list[Path], list[Path]]:
    """Write corpora and test sets as JSON lines.

    Args:
        folder: where they go.
        characters: kind to the length of its corpus, at least.

    Returns:
        Files of the corpora and of the test sets.

    Raises:
        ValueError: if there is too little text of a kind on this machine.
    """
    folder.mkdir(parents=True, exist_ok=True)
    corpora, test_sets = [], []
    for kind, wanted in characters.items():
        texts = documents(kind)
        if kind in HELD_OUT:
            new, texts = texts[:TEST_EXAMPLES], texts[TEST_EXAMPLES:]
            test_sets.append(_write(folder / f"new_{kind}.jsonl", [text[:TEST_CHARACTERS] for text in new]))
        chosen: list[str] = []
        while texts and sum(map(len, chosen)) < wanted:
            chosen.append(texts.pop())
        if sum(map(len, chosen)) < wanted:
            raise ValueError(f"{kind}: {sum(map(len, chosen))} characters are installed here, {wanted} were asked for")
        corpora.append(_write(folder / f"{kind}.jsonl", chosen))
    for kind in NEW_KINDS:
        texts = [text[:TEST_CHARACTERS] for text in documents(kind)[:TEST_EXAMPLES]]
        test_sets.append(_write(folder / f"{kind}.jsonl", texts))
    return corpora, test_sets


if __name__ == "__main__":
    for name in (*CORPORA, *NEW_KINDS):
        found = documents(name)
        print(f"{name}: {len(found)} documents, {sum(map(len, found)):,} characters")
