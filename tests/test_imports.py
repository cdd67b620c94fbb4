"""Arrows between the rooms of the package go down only, and nothing goes in a circle."""

from __future__ import annotations

from import_graph import circles, imports

ROOMS = (
    ("__main__",),
    ("cli",),
    ("verbs",),
    ("fanout", "examinations"),
    ("runs",),
    ("config",),  # knows the modules' and the data's parameters
    ("forgetting",),
    ("antisamples",),
    ("attribution",),
    ("callbacks",),
    ("gguf",),
    ("modules",),
    ("objectives",),
    ("data",),
    ("metrics", "loggers"),  # a measure says there what it is called
    ("results",),  # reads tables, and holds the words for people
    ("tables",),
    ("outputs",),  # of one forward pass: terms and measures read them
    ("judges",),  # of answers
    ("functional",),
)
"""From the top down; those of one line know nothing of each other. A module that is in no room is a tool for all of
them, and knows no room."""


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def test_nothing_goes_in_a_circle():
    assert circles(imports()) == []


def test_arrows_between_rooms_go_down():
    level = {name: number for number, names in enumerate(ROOMS) for name in names}
    tools = len(ROOMS)
    wrong = sorted(
        f"{module} -> {other}"
        for module, others in imports().items()
        for other in others
        if room(module) != room(other) and level.get(room(module), tools) >= level.get(room(other), tools + 1)
    )
    assert wrong == []


def test_a_circle_is_found():
    assert circles({"a": {"b", "c"}, "b": set(), "c": {"d"}, "d": {"a"}}) == [["a", "c", "d", "a"]]
    assert circles({"a": {"b"}, "b": set()}) == []
