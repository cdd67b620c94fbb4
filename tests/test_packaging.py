from __future__ import annotations

import doctest
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import lightning_untrac

ROOT = Path(__file__).parents[1]
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(lightning_untrac.__path__, "lightning_untrac.")
    if not module.name.endswith("__main__")
) + [
    f"lightning_untrac.{folder}.{path.stem}"
    for folder in ("callbacks",)
    for path in sorted((ROOT / folder).glob("[!_]*.py"))
]


@pytest.mark.parametrize("name", MODULES)
def test_doctests(name: str) -> None:
    module = importlib.import_module(name)
    options = doctest.NORMALIZE_WHITESPACE
    failures, _ = doctest.testmod(module, optionflags=options, extraglobs=_globals(name))
    assert failures == 0


def _globals(name: str) -> dict[str, object]:
    # Docstrings of tensor functions say `torch.tensor` without the import that every reader has.
    import torch
    from torch import nn

    return {"torch": torch, "nn": nn}


def test_every_package_is_listed() -> None:
    tomllib = pytest.importorskip("tomllib")
    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    package = ROOT / "lightning_untrac"
    there = {"lightning_untrac", "lightning_untrac.callbacks", "lightning_untrac.recipes"}
    there |= {
        ".".join(("lightning_untrac", *path.parent.relative_to(package).parts)) for path in package.rglob("__init__.py")
    }
    assert listed == there


def test_top_level_folders_are_not_importable_by_their_bare_names() -> None:
    for name in ("callbacks", "recipes"):
        spec = importlib.util.spec_from_file_location(name, ROOT / name / "__init__.py")
        assert spec is not None
        assert spec.loader is not None
        with pytest.raises(ModuleNotFoundError, match=f"no top-level package named '{name}'"):
            spec.loader.exec_module(importlib.util.module_from_spec(spec))


def test_importing_the_package_imports_nothing_heavy() -> None:
    heavy = ("torch", "wandb", "datasets", "peft", "pandas", "ray", "transformers", "lightning", "matplotlib")
    code = (
        "import sys, lightning_untrac\n"
        "from lightning_untrac.cli import main\n"
        "assert main(['--help']) == 0 and main(['--version']) == 0\n"
        f"found = [m for m in {heavy!r} if m in sys.modules]\n"
        "assert not found, found\n"
        "from lightning_untrac import Unlearning, CorpusDataModule\n"
        "found = [m for m in ('wandb', 'datasets', 'peft', 'pandas', 'ray') if m in sys.modules]\n"
        "assert not found, found\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, capture_output=True, timeout=300)


@pytest.mark.parametrize("name", lightning_untrac.__all__)
def test_public_names_exist(name: str) -> None:
    assert getattr(lightning_untrac, name) is not None
