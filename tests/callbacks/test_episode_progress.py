from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from lightning_untrac import EpisodeProgress


@pytest.mark.parametrize("terminal", [True, False])
def test_the_bar_names_phase_corpus_episode_and_steps(trace: Any, make_data: Any, terminal: bool) -> None:
    written = io.StringIO()
    progress = EpisodeProgress("untrac")
    progress._console = Console(file=written, force_terminal=terminal, width=120, legacy_windows=False)
    trace(data=make_data(batch_size=4), callbacks=(progress,), enable_progress_bar=True)
    text = written.getvalue()
    assert "untrac" in text
    assert "reading the losses at the start weights" in text
    # A bar is drawn ten times a second, so that only its last state is sure to be seen.
    assert "bread, episode 3 of 3, seed 0" in text
    if terminal:
        assert "9/9" in text
    else:
        assert "birds, episode 1 of 3, seed 0, 3 batches" in text


def test_it_can_be_turned_off(trace: Any, make_data: Any) -> None:
    written = io.StringIO()
    progress = EpisodeProgress("untrac")
    progress._console = Console(file=written)
    progress.disable()
    trace(data=make_data(batch_size=4), callbacks=(progress,), enable_progress_bar=True)
    assert written.getvalue() == ""
