"""Before an unlearning run: which other datasets are at risk, said and written down, for the report to check."""

from __future__ import annotations

import math
from typing import Any, Final

from lightning_untrac.attribution.collateral import predicted_rises
from lightning_untrac.attribution.scoring import ScoringRun
from lightning_untrac.results.predicted import AT_RISK
from lightning_untrac.results.style import format_number
from lightning_untrac.runs.stage import Stage, run_trainer
from lightning_untrac.runs.surroundings import say
from lightning_untrac.tables import InfluenceStore, ResultsError

EXAMPLES: Final = 32
"""Examples or blocks of each dataset whose gradients are taken."""


def predict_collateral(stage: Stage, forget: str, method: str, seed: int, asked: bool) -> None:
    """Say how far each dataset's loss is going to rise with the forget set's; write it into ``run.json``.

    Args:
        stage: the verb's, started.
        forget: the forget set.
        method: what the tables call the run.
        seed: of the run.
        asked: whether to do it at all.
    """
    others = [name for name in stage.data.evaluation_names if name != forget]
    if not asked or not others:
        return
    run = ScoringRun(
        stage.folder.path, stage.parsed.build_module, stage.build_trainer, stage.data, max_examples=EXAMPLES
    )
    rises = run_trainer(lambda: predicted_rises(run, forget, others))
    if stage.fast_dev_run:
        return
    traced = _traced(stage, forget)
    rows = [
        {"dataset": name, "rise": rise if math.isfinite(rise) else None, "influence": traced.get(name)}
        for name, rise in rises.items()
    ]
    mine = {"method": method, "forget_set": forget, "seed": seed, "rows": rows}
    stage.folder.add_to_run(predicted={stage.name: mine})
    risky = sorted((name for name in others if rises[name] >= AT_RISK), key=lambda name: -rises[name])
    named = ", ".join(f"{name} ({format_number(rises[name])})" for name in risky)
    most = f"most at risk: {named}" if risky else f"no other dataset is at risk (all below {format_number(AT_RISK)})"
    say(f"unlearn: {most}: nats per token that a loss rises by while that of {forget} rises by 1, at the first step")


def _traced(stage: Stage, forget: str) -> dict[str, float]:
    """Influence of the forget set on each test set by the folder's traces, of the method that was traced first."""
    try:
        rows: list[dict[str, Any]] = InfluenceStore(stage.folder.path).table().to_pylist()
    except (ResultsError, OSError):
        return {}
    mine = [row for row in rows if row["corpus"] == forget and row["final"] and row["status"] == "ok"]
    mine = [row for row in mine if row["unit"] == "nats/token"]
    return {row["test_set"]: row["influence"] for row in reversed(mine)}
