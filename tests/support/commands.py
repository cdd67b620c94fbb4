"""Commands in this process."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from typing import Any

from lightning_untrac.cli import main


@dataclass
class Ran:
    """How a command ended."""

    code: int
    text: str


def run_untrac(*arguments: Any) -> Ran:
    """Run a command in this process."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
    return Ran(code, text.getvalue())
