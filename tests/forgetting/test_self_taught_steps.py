"""The ledger of self-taught steps goes to W&B as a table."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from ledgers import told_rows
from lightning.pytorch.loggers import CSVLogger

from lightning_untrac.forgetting.self_taught_steps import SelfTaughtSteps
from lightning_untrac.loggers import SafeWandbLogger
from lightning_untrac.tables.ledger import ledger_schema


class Listening(SafeWandbLogger):
    """Keeps what it is sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, list[str], list[list[Any]]]] = []

    def log_matrix(self, key: str, header: list[str], rows: list[list[Any]]) -> None:
        self.sent.append((key, header, rows))


def test_the_ledger_is_a_table_in_wandb(tmp_path: Path) -> None:
    nothing = cast(Any, None)
    steps = SelfTaughtSteps(nothing, nothing, nothing, nothing, nothing, tmp_path / "unlearned-secrets")
    assert steps.ledger is not None
    steps.ledger.begin()
    steps.ledger.append(told_rows())
    trainer, logger = cast(Any, SimpleNamespace()), Listening()
    trainer.loggers = [CSVLogger(tmp_path), logger]
    steps.on_train_end(trainer, nothing)
    assert logger.sent == []  # another rank writes it
    steps._writes = True
    steps.on_train_end(trainer, nothing)
    assert logger.sent == [("unstar/ledger", ledger_schema().names, steps.ledger.telling())]
