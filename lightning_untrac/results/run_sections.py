"""The parts of a report that say what was run: on which data, at which losses, at what cost."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lightning_untrac.functional.costs import duration
from lightning_untrac.results.methods import method_text
from lightning_untrac.results.page import escape, table_html
from lightning_untrac.results.style import format_number

if TYPE_CHECKING:
    import pyarrow as pa

_DASH: Final = "\u2013"
_OPEN_AT_MOST: Final = 12
"""Datasets whose texts are shown without a click."""


def asked_section(run: Mapping[str, Any]) -> str:
    """What was asked, and by which command each stage.

    Args:
        run: content of ``run.json``.
    """
    asked = f"<p>{escape(run['asked'])}</p>" if run.get("asked") else ""
    stages: dict[str, list[str]] = {}
    for stage, command in (run.get("commands") or {}).items():
        if isinstance(command, str):
            stages.setdefault(command, []).append(str(stage))
    if not stages:
        return asked + (f"<pre>{escape(run['command'])}</pre>" if run.get("command") else "")
    return asked + "".join(
        f'<p class="muted small">{escape(", ".join(names))}</p><pre>{escape(command)}</pre>'
        for command, names in stages.items()
    )


def data_section(run: Mapping[str, Any]) -> str:
    """The datasets, and some texts of each.

    Args:
        run: content of ``run.json``.
    """
    entries = [entry for entry in run.get("data") or [] if isinstance(entry, Mapping)]
    rows = [
        (
            entry.get("name", ""),
            entry.get("role", ""),
            _count(entry.get("num_examples")),
            _count(entry.get("num_tokens")),
            _truncated(entry.get("truncated")),
            entry.get("source", ""),
        )
        for entry in entries
    ]
    if not rows:
        return ""
    table = table_html(("name", "role", "examples", "tokens", "truncated", "source"), rows, (2, 3, 4))
    return (_folded(table, f"{len(rows)} datasets") if len(rows) > 40 else table) + _texts(entries)


def _texts(entries: list[Mapping[str, Any]]) -> str:
    parts = []
    for entry in entries:
        texts = entry.get("texts")
        if not isinstance(texts, list) or not texts:
            continue
        items = "".join(f"<li><q>{escape(text)}</q></li>" for text in texts)
        name = f"{entry.get('name', '')} ({entry.get('role', '')})"
        parts.append(f"<h4>{escape(name)}</h4><ul>{items}</ul>")
    if not parts:
        return ""
    opened = " open" if len(parts) <= _OPEN_AT_MOST else ""
    return (
        f'<details class="texts"{opened}><summary>Some texts of each</summary><p class="muted small">The beginnings of '
        f"a few examples, as the model reads them; of prompts and targets both.</p>{''.join(parts)}</details>"
    )


def losses_section(table: pa.Table) -> str:
    """The losses from which influences are reckoned.

    Args:
        table: influences.

    Returns:
        The markup; empty where no method wrote losses.
    """
    import pyarrow.compute as pc

    final = table.filter(table["final"]).select(["method", "corpus", "test_set", "loss_before", "num_tokens"])
    found: dict[tuple[str, str, str], list[float]] = {}
    for method in final["method"].unique().to_pylist():
        records = final.filter(pc.equal(final["method"], method)).to_pylist()
        role = _whose(records)
        for record in records if role else []:
            key = (record[role], "corpus" if role == "corpus" else "test set", method_text(method).before)
            if record["loss_before"] is not None and math.isfinite(record["loss_before"]):
                found.setdefault(key, []).append(record["loss_before"])
    if not found:
        return ""
    models = list(dict.fromkeys(before for _, _, before in found))
    names = list(dict.fromkeys((role, name) for name, role, _ in found))
    rows = [
        (name, role, *(_mean(found.get((name, role, before), [])) for before in models))
        for role, name in sorted(names, key=lambda pair: pair[0] != "test set")
    ]
    head = ("dataset", "role", *(f"loss of {before}" for before in models))
    markup = table_html(head, rows, range(2, len(head)))
    said = '<p class="muted small">Nats per token, mean over seeds. A method\'s influences start from these.</p>'
    return said + (_folded(markup, f"{len(rows)} losses") if len(rows) > 40 else markup)


def _whose(records: list[dict[str, Any]]) -> str:
    """Whose losses a method wrote: of the test sets, or of the corpora; empty where that cannot be told."""
    seeds = _seeds_of(records)
    for role in ("test_set", "corpus"):
        losses: dict[str, set[float]] = {}
        for record in records:
            if record["loss_before"] is not None:
                losses.setdefault(record[role], set()).add(round(record["loss_before"], 9))
        other = "corpus" if role == "test_set" else "test_set"
        several = len({record[other] for record in records}) > 1
        if losses and all(len(values) <= seeds for values in losses.values()) and several:
            return role
    return "test_set" if any(record["loss_before"] is not None for record in records) else ""


def _seeds_of(records: list[dict[str, Any]]) -> int:
    pairs = [(record["corpus"], record["test_set"]) for record in records]
    return max((pairs.count(pair) for pair in pairs[:1]), default=1)


def _mean(losses: list[float]) -> str:
    return format_number(math.fsum(losses) / len(losses), signed=False) if losses else _DASH


def costs_section(run: Mapping[str, Any], stages: Mapping[str, bool]) -> str:
    """Time and memory of each stage, and which are not finished.

    Args:
        run: content of ``run.json``.
        stages: which stages have begun, and whether each is finished; one that is not mentioned is.
    """
    costs = {str(entry.get("step", "")): entry for entry in run.get("costs") or [] if isinstance(entry, Mapping)}
    rows = []
    for stage in dict.fromkeys([*costs, *stages]):
        seconds, memory = (costs.get(stage, {}).get(key) for key in ("seconds", "peak_memory_mb"))
        rows.append(
            (
                stage,
                duration(float(seconds)) if isinstance(seconds, (int, float)) else _DASH,
                f"{memory:,.0f} MiB" if isinstance(memory, (int, float)) else _DASH,
                "" if stages.get(stage, True) else "not finished",
            )
        )
    if not rows:
        return ""
    unfinished = any(row[3] for row in rows)
    head = ("stage", "time", "peak memory", *(("state",) if unfinished else ()))
    return table_html(head, [row[: len(head)] for row in rows], (1, 2))


def config_section(folder: Path, stages: Mapping[str, bool]) -> str:
    """Every configuration of a run's folder; those of stages that are not finished say so.

    Args:
        folder: the run's folder.
        stages: see :func:`costs_section`.
    """
    parts = []
    for path in sorted(folder.glob("*.yaml")):
        text = path.read_text(encoding="utf-8", errors="replace")
        state = "" if stages.get(path.stem, True) else ' <span class="unfinished">not finished</span>'
        parts.append(f"<details><summary>{escape(path.name)}{state}</summary><pre>{escape(text)}</pre></details>")
    return "".join(parts)


def _folded(markup: str, title: str) -> str:
    return f"<details><summary>{escape(title)}</summary>{markup}</details>"


def _count(value: object) -> str:
    return f"{value:,}" if isinstance(value, (int, float)) else _DASH if value is None else str(value)


def _truncated(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else _count(value)
