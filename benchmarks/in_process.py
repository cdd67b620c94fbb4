"""Commands of ``untrac`` in the process of a benchmark, one line each."""

from __future__ import annotations

import contextlib
import io
import time
import warnings
from typing import Any

from lightning_untrac.cli import main as untrac


def run(*arguments: Any) -> None:
    """Run a command in this process; what it printed is shown if it fails."""
    said, start = io.StringIO(), time.perf_counter()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            code = untrac([str(argument) for argument in arguments])
        except SystemExit as error:
            code = error.code
    print(f"{time.perf_counter() - start:4.0f} s: {' '.join(map(str, arguments))}", flush=True)
    if code:
        raise RuntimeError(said.getvalue())
