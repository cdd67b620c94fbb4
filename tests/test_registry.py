from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lightning_untrac.errors import ConfigurationError
from lightning_untrac.registry import Registry

PACKAGE = """
from lightning_untrac.registry import Registry
TOYS = Registry("toy", "toybox")
class Toy:
    def __init_subclass__(cls):
        TOYS.add(cls)
"""
BALL = """
from toybox import Toy
class Ball(Toy):
    name = "ball"
class Round(Ball):
    pass
"""


@pytest.fixture
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    folder = tmp_path / "toybox"
    folder.mkdir()
    (folder / "__init__.py").write_text(PACKAGE)
    (folder / "ball.py").write_text(BALL)
    (tmp_path / "outside_toybox.py").write_text(BALL.replace("Ball", "Kite").replace('"ball"', '"kite"'))
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if "toybox" in name]:
        monkeypatch.delitem(sys.modules, name)
    import toybox

    return toybox.TOYS


def test_a_new_file_of_the_package_is_found_without_being_listed(toys: Registry) -> None:
    assert toys.find("ball").__name__ == "Ball"
    assert toys.names() == ["ball"]


def test_a_class_elsewhere_is_found_by_its_path_and_then_by_its_name(toys: Registry) -> None:
    assert toys.find("outside_toybox.Kite").__name__ == "Kite"
    assert toys.find("kite") is toys.find("outside_toybox.Kite")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("bal", "did you mean 'ball'"),
        ("outside_toybox.Nothing", "no class can be imported as 'outside_toybox.Nothing'"),
        ("no_such_module.Toy", "no class can be imported as 'no_such_module.Toy'"),
        ("pathlib.Path", "'pathlib.Path' is no toy"),
        ("outside_toybox.Round", "with a `name` of its own"),
        ("..", "no class can be imported"),
    ],
)
def test_what_is_not_there_is_said(toys: Registry, asked: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said.replace("'", ".")):
        toys.find(asked)


def test_a_name_has_one_class(toys: Registry) -> None:
    ball = toys.find("ball")
    with pytest.raises(ValueError, match="give yours another name"):
        type("Other", (ball.__bases__[0],), {"name": "ball"})
    again = type("Ball", ball.__bases__, {"name": "ball", "__module__": ball.__module__})
    assert toys.find("ball") is again  # as a notebook's cell that is run twice
