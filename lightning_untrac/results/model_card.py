"""The model card of an unlearned model: what was forgotten, how, measured how, and what is not known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from lightning_untrac.naming import counted
from lightning_untrac.results.examined import find_examined, said_of
from lightning_untrac.results.judged import find_judged
from lightning_untrac.results.measured import Reading, UnlearningRun, find_measured
from lightning_untrac.results.measured_answers import change_of
from lightning_untrac.results.measures import measure_text
from lightning_untrac.results.memorised import find_memorised
from lightning_untrac.results.soundness import FLAG_TITLES
from lightning_untrac.results.style import format_number, with_unit
from lightning_untrac.results.verdict import verdicts_on

CARD: Final = "README.md"
"""Name of a card's file in the folder of its model."""

_NOT_TRIED: Final = (
    "Whether what was forgotten comes back after a little training, after quantisation, or with another prompt was not "
    "tried.",
    "Abilities that none of the datasets in the table shows were not measured.",
)


def model_card(folder: Path, run: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    """A card in the form of the hub: a head of fields, then Markdown. It quotes no text of any dataset.

    Args:
        folder: of the run, whose tables are read.
        run: content of ``run.json``.
        facts: ``model`` and ``start`` (names), ``method``, ``forget_set`` and ``seed`` as in the tables, ``forgotten``,
            ``trained`` and ``ended`` (mappings of a word to what is said of it), ``hub`` (whether ``start`` is a name
            of the hub) and ``lora``.

    Raises:
        ResultsError: if a table is damaged.
    """
    from huggingface_hub import ModelCard, ModelCardData

    head = ModelCardData(
        base_model=facts["start"] if facts.get("hub") else None,
        library_name="peft" if facts.get("lora") else "transformers",
        tags=["unlearning", "lightning-untrac"],
    )
    measured = find_measured(folder, run)
    mine = [
        one
        for one in (measured.runs if measured is not None else ())
        if (one.method, one.forget_set, one.seed) == (facts["method"], facts["forget_set"], facts["seed"])
    ]
    judged = [one for one in find_judged(folder, run) if one.forget_set == facts["forget_set"]]
    known = next((one for one in find_memorised(folder) if one.forget_set == facts["forget_set"]), None)
    examined = said_of(find_examined(folder, run), facts["forget_set"])
    said = [
        f"**{one.headline[:1].upper()}{one.headline[1:]}.**\n\n" + "\n".join(f"- {reason}" for reason in one.reasons)
        for each in judged
        for one in verdicts_on(each, known, examined)
        if one.name == facts["model"]
    ]
    retrained = bool(said) and any(one.retrained for one in judged)
    versions = ", ".join(f"{name} {number}" for name, number in (run.get("versions") or {}).items())
    parts = [
        f"# {facts['model']}",
        f"`{facts['start']}`, from which `{facts['forget_set']}` was unlearned with lightning-untrac.",
        "## What was forgotten",
        _list(facts["forgotten"]),
        "## How",
        _list({**facts["trained"], **facts["ended"], "versions": versions}),
        "## What was measured",
        *(_table(one, measured.roles if measured is not None else {}) for one in mine),
        *said,
        "## What is not known",
        "\n".join(f"- {sentence}" for sentence in _unknown(mine, retrained)),
    ]
    return str(ModelCard(f"---\n{head.to_yaml()}\n---\n\n" + "\n\n".join(parts) + "\n"))


def _list(entries: Mapping[str, Any]) -> str:
    return "\n".join(f"- {name}: {value}" for name, value in entries.items() if value not in (None, ""))


def _table(run: UnlearningRun, roles: Mapping[str, str]) -> str:
    """Every dataset and measure before and after, with half of their 95 % intervals."""
    head = ("measure", "dataset", "role", "before", "after", "change")
    rows = []
    for (measure, name), readings in run.curves.items():
        text = measure_text(measure)
        title = with_unit(text.title, text.unit)
        role = "forget set" if name == run.forget_set else roles.get(name, "")
        change = format_number(change_of(run, measure, name), readings[0].value)
        rows.append((title, name, role, _number(readings[0]), _number(readings[-1]), change))
    lines = [head, ("---",) * len(head), *rows]
    table = "\n".join(f"| {' | '.join(cell.replace('|', ' ') for cell in line)} |" for line in lines)
    weights = " or ".join(run.weights) or "examples"
    return f"Means over the {weights} of each dataset, with half of their 95 % intervals.\n\n{table}"


def _number(reading: Reading) -> str:
    flag = "" if reading.status == "ok" else f" ({FLAG_TITLES.get(reading.status, reading.status)})"
    return f"{reading}{flag}"


def _unknown(runs: Sequence[UnlearningRun], judged: bool) -> Iterable[str]:
    if not judged:
        yield (
            "The model was not compared with one that was trained again without the forget set, which is what perfect "
            "unlearning would give (`untrac retrain`, `untrac judge`)."
        )
    yield from _NOT_TRIED
    for measure in dict.fromkeys(measure for run in runs for measure in run.measures):
        text = measure_text(measure)
        if text.cannot_tell:
            yield f"{text.title} does not tell {text.cannot_tell}."


def counts(examples: int, different: int) -> str:
    """How many examples a forget set has, and how many different texts these are.

    Example:
        >>> counts(3, 3), counts(3, 1)
        ('3 examples', '3 examples (1 different text)')
    """
    said = counted(examples, "example")
    return said if examples == different else f"{said} ({counted(different, 'different text')})"
