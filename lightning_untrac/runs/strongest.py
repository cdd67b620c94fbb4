"""``--forget "strongest of toxicity"``: a forget set by what an earlier trace of the same folder found."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from lightning_untrac.config.parsing import Parsed
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.registry import did_you_mean
from lightning_untrac.results.chance import candidates
from lightning_untrac.results.matrix import InfluenceMatrix
from lightning_untrac.results.methods import REFERENCE, method_title, read_texts
from lightning_untrac.results.narrative import headline_method
from lightning_untrac.results.plots import matrices_of
from lightning_untrac.results.self_check import self_check
from lightning_untrac.results.sentence import plain
from lightning_untrac.results.soundness import why_no_verdict
from lightning_untrac.results.style import format_number
from lightning_untrac.results.uncertainty import influence_intervals
from lightning_untrac.runs.run_folder import RunFolder
from lightning_untrac.tables import InfluenceStore, ResultsError

ASKED: Final = re.compile(r"strongest of (?P<test_set>.+)", re.DOTALL)
"""What a user writes in place of a name."""

CHOSEN: Final = "-chosen"


def with_strongest(parsed: Parsed) -> Parsed:
    """Put the strongest corpus of a test set into the arguments, where its name is asked for.

    The corpus is that of the largest influence by the method from which the report reads its answers.

    Args:
        parsed: of a verb with an option ``forget``; changed in place. Where the folder holds no trace yet, the first
            corpus stands for the name that nobody knows, and ``awaits`` says what is missing.

    Returns:
        The same.
    """
    options = parsed.options
    found = ASKED.fullmatch(options.forget.strip()) if isinstance(options.forget, str) else None
    if found is None or getattr(options, "forget_text", None) is not None:
        return parsed
    asked, suffix = found["test_set"].strip(), ""
    corpora, test_sets = (_names(parsed, role) for role in ("corpora", "test_sets"))
    if asked not in test_sets and asked.endswith(CHOSEN):
        asked, suffix = asked.removesuffix(CHOSEN), CHOSEN
    name = corpora[0] if corpora else "corpus"
    if test_sets and asked not in test_sets:
        parsed.problems.append(
            f"forget: strongest of {asked}: there is no such test set; {did_you_mean(asked, test_sets)}there are "
            f"{', '.join(test_sets)}"
        )
    else:
        try:
            name, said = strongest_of(options.output, asked)
            parsed.said.append(said)
        except ConfigurationError as error:
            parsed.awaits += error.problems
    options.forget = parsed.config.forget = name + suffix
    return parsed


def strongest_of(output: str, test_set: str) -> tuple[str, str]:
    """The corpus from which a test set comes most, by a folder's influences.

    Args:
        output: the run folder.
        test_set: one of its test sets.

    Returns:
        The corpus, and a sentence that says it, with what chance leaves of it.

    Raises:
        ConfigurationError: if the folder holds no influences on the test set, or they allow no verdict.
    """
    begins = f"forget: strongest of {test_set}"
    try:
        table = InfluenceStore(output).table()
        every = matrices_of(table)
    except (ResultsError, OSError):
        every = {}
    matrices = {method: matrix for method, matrix in every.items() if test_set in matrix.test_sets}
    if not matrices:
        raise ConfigurationError(
            [f"{begins}: {output} holds no influences on it; run `untrac trace` on the folder first, or name a corpus"]
        )
    read_texts(RunFolder(output).facts().get("methods"))
    failed = [name for name, one in matrices.items() if (check := self_check(one)) is not None and not check.passed]
    matrix = matrices[headline_method(list(matrices), REFERENCE, failed)]
    column = matrix.test_sets.index(test_set)
    name = matrix.strongest()[column]
    if not name:
        raise ConfigurationError(
            [f"{begins}: there is no verdict, because {plain(why_no_verdict(matrix, test_set))}; name a corpus"]
        )
    value = float(matrix.values[matrix.corpora.index(name), column])
    if value <= 0:
        raise ConfigurationError(
            [f"{begins}: no corpus helps the model with it by {method_title(matrix.method)}; name a corpus"]
        )
    said = f"strongest of {test_set}: {name}, {format_number(value)} ({matrix.method})"
    return name, said + _doubt(table, matrix, test_set, name)


def _doubt(table: Any, matrix: InfluenceMatrix, test_set: str, name: str) -> str:
    column = matrix.values[:, matrix.test_sets.index(test_set)]
    tied = [c for c, value in zip(matrix.corpora, column, strict=True) if value == column.max() and c != name]
    if tied:
        return f"; {', '.join(tied)} has the very same influence, and the first is taken"
    leaders = candidates(matrix, influence_intervals(table, matrix.method), test_set)
    if not leaders:
        return "; chance does not tell it from no influence at all"
    others = [other for other in leaders if other != name]
    return f"; chance does not tell it from {', '.join(others)}" if others else ""


def _names(parsed: Parsed, role: str) -> Sequence[str]:
    """Names of the configured datasets; of one that is split into several, none is known yet."""
    entries: Any = parsed.resolved()["data"].get(role) or []
    if any(entry.get("split_by") for entry in entries):
        return []
    return [str(entry.get("name") or entry.get("path")) for entry in entries]
