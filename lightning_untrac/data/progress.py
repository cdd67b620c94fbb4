"""Progress bars of ``datasets``: only where there is something to wait for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def progress_bars(show: bool) -> Iterator[None]:
    """Within it, ``datasets`` shows its bars if ``show`` and if they were not turned off before."""
    from datasets.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    were_disabled = are_progress_bars_disabled()
    if not show:
        disable_progress_bars()
    try:
        yield
    finally:
        if not were_disabled:
            enable_progress_bars()
