"""Hundreds of passes over datasets are one bar, or a few lines."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest
from lightning_untrac.callbacks.pass_progress import PassProgress
from rich.console import Console

from lightning_untrac import Unlearning
from lightning_untrac.attribution.passes import go_through
from lightning_untrac.data.passes import DatasetPass


@pytest.mark.parametrize("terminal", [True, False])
def test_a_line_for_all_passes_and_none_for_each(
    make_data: Any, model_folders: Any, terminal: bool, monkeypatch: Any
) -> None:
    import lightning.pytorch as L

    written = io.StringIO()

    def console(self: PassProgress, phase: str) -> None:
        made(self, phase)
        self._console = Console(file=written, force_terminal=terminal, width=140, legacy_windows=False)

    made = PassProgress.__init__
    monkeypatch.setattr(PassProgress, "__init__", console)
    data = make_data()
    module = Unlearning(model_folders("llama"))
    data.prepare(module)
    run = SimpleNamespace(
        data=data,
        build_module=lambda: module,
        build_trainer=lambda **options: L.Trainer(
            accelerator="cpu", enable_model_summary=False, num_sanity_val_steps=0, **options
        ),
    )
    passes = [DatasetPass(name, quantity) for name in data.corpus_names for quantity in ("squares", "loss")]
    go_through(run, "fisher", passes, lambda *_: None)  # type: ignore[arg-type]
    if terminal:
        assert "loss of bread, pass 6 of 6" in written.getvalue()
    else:
        assert written.getvalue().splitlines() == ["fisher: 6 passes over datasets"]
