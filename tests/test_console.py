"""A terminal or log that is not UTF-8 gets plain characters, never a UnicodeEncodeError."""

from __future__ import annotations

import io
import sys

import pytest
from rich.table import Table

from lightning_untrac.console import console, settle_streams


@pytest.mark.parametrize(
    ("encoding", "cell"),
    [("ascii", "> 0.10 +- 0.02"), ("latin-1", "> 0.10 \u00b1 0.02"), ("utf-8", "\u25b8 0.10 \u00b1 0.02")],
)
def test_tables_on_any_terminal(monkeypatch, encoding, cell):
    held = io.BytesIO()
    stream = io.TextIOWrapper(held, encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    table = Table(title="influence \u2026 \u4e2d")
    table.add_column("toxicity")
    table.add_row("\u25b8 0.10 \u00b1 0.02")
    console().print(table)
    console().print("runs/[1]/a:smile:", highlight=False)
    stream.flush()
    text = held.getvalue().decode(encoding)
    assert cell in text
    assert "runs/[1]/a:smile:" in text


def test_a_file_name_that_is_no_text_can_be_printed(monkeypatch):
    held = io.BytesIO()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(held, encoding="utf-8"))
    settle_streams()
    print("no file b\udcffd", file=sys.stderr, flush=True)
    assert held.getvalue() == b"no file b?d\n"
