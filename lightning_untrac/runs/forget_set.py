"""Which examples a user chose to forget: from a text file, or from the influences of an earlier trace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lightning.pytorch.utilities import rank_zero_only

from lightning_untrac.data.forget_set import CONTENT_HASH, NAMED_AT_MOST, ROW_NUMBER, ForgetChoice
from lightning_untrac.data.shared_texts import repeated_texts_note
from lightning_untrac.data.short_texts import short_texts_note
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.naming import counted
from lightning_untrac.runs.asked import Checked
from lightning_untrac.runs.stage import Stage
from lightning_untrac.tables import InfluenceStore, ResultsError
from lightning_untrac.tables.files import atomic_write_bytes


@dataclass(frozen=True)
class Asked:
    """What the options choose.

    Attributes:
        choice: None where the whole dataset is to be forgotten.
        problems: what is wrong with the options or with the file.
        notes: what the choice passed over, a sentence each.
        missing: why influences that are asked for are not there; an earlier stage of a recipe may be yet to write them.
    """

    choice: ForgetChoice | None = None
    problems: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def forget_set(self, corpus: str) -> str:
        """Name of what is forgotten: of the chosen examples, or of all.

        Args:
            corpus: that the examples are of.
        """
        return corpus if self.choice is None else self.choice.chosen


class ChoiceOptions(Protocol):
    """The options of a verb that say which examples of a corpus are to be forgotten.

    Attributes:
        output: the run folder, whose ``examples.parquet`` is read for ``forget_top``.
        forget_examples: a file with a content hash or a row number a line.
        forget_top: how many of the most influential examples.
        forget_top_of: the test set on which their influence counts.
        forget_top_method: whose influences, where the table holds those of several methods.
    """

    output: str
    forget_examples: str | None
    forget_top: int | None
    forget_top_of: str | None
    forget_top_method: str | None


def chosen_examples(options: ChoiceOptions, corpus: str) -> Asked:
    """Look up which examples are to be forgotten.

    Args:
        options: of the verb.
        corpus: whose examples they are.
    """
    output, file = options.output, options.forget_examples
    top, top_of, top_method = options.forget_top, options.forget_top_of, options.forget_top_method
    found = []
    if file is not None and top is not None:
        found.append("forget_examples and forget_top: give one of the two")
    if (top is None) != (top_of is None):
        found.append("forget_top and forget_top_of: give both, a number and the test set whose influences count")
    if top is None and top_method is not None:
        found.append("forget_top_method: belongs to forget_top; give that too, or leave it out")
    if top is not None and top < 1:
        found.append(f"forget_top: {top}; give at least 1 example")
    if found or (file is None and top is None):
        return Asked(None, tuple(found))
    if file is not None:
        try:
            return Asked(ForgetChoice(corpus, read_ids(file), f"forget_examples ({file})"))
        except ConfigurationError as error:
            return Asked(None, tuple(error.problems))
    assert top is not None
    assert top_of is not None
    try:
        ids, notes = top_ids(output, corpus, top, top_of, top_method)
        return Asked(ForgetChoice(corpus, ids, "forget_top"), notes=notes)
    except ConfigurationError as error:
        # Any so many examples stand for them in a recipe's checks.
        return Asked(ForgetChoice(corpus, tuple(map(str, range(top))), "forget_top"), (), tuple(error.problems))


def chosen_before(output: str, forget: str) -> tuple[ForgetChoice | None, list[str]]:
    """The choice that an earlier step of a run folder wrote down, where a forget set has the name of one.

    Args:
        output: the run folder.
        forget: name of the forget set.

    Returns:
        The choice, None for the name of a whole dataset; and why it can't be looked up. Any example stands for the
        chosen ones in a recipe's checks, before an earlier step has written them down.
    """
    corpus = forget.removesuffix("-chosen")
    if corpus == forget:
        return None, []
    verbs = ("unlearn", "retrain", "sisa")
    files = [file for verb in verbs for file in Path(output).glob(f"{verb}-{forget}*.examples.txt")]
    if (file := min(files, default=None)) is None:
        missing = f"forget: {output} does not say which examples {forget!r} are; unlearn or retrain them there first"
        return ForgetChoice(corpus, ("0",), "forget"), [missing]
    return ForgetChoice(corpus, read_ids(str(file)), f"forget ({file})"), []


def other_choices(output: str, choice: ForgetChoice, models: Sequence[str]) -> list[str]:
    """Which unlearned models were made to forget other examples, though their choice has the same name.

    Args:
        output: the run folder.
        choice: of the retrained models, see :func:`chosen_before`.
        models: paths of the unlearned models.
    """
    others = []
    for model in (Path(one) for one in models if Path(one).parent == Path(output)):
        of_run = model.name.removeprefix("unlearned-")
        files = (f"unlearn-{of_run}.examples.txt", f"sisa-{of_run.removesuffix('-sisa')}.examples.txt")
        file = Path(output) / files[of_run.endswith("-sisa")]
        if file.is_file() and ForgetChoice(choice.corpus, read_ids(str(file))).digest != choice.digest:
            others.append(f"{model.name} ({file.name})")
    if not others:
        return []
    return [
        f"models: {', '.join(others)} forgot other examples than the {choice.chosen} that is judged ({choice.option}); "
        "name those that forgot the same ones (--models), and give each choice an output folder of its own"
    ]


def read_ids(file: str) -> tuple[str, ...]:
    """The ids in a text file, one a line; empty lines and those that begin with # are passed over.

    Raises:
        ConfigurationError: if it can't be read, or holds something else.
    """
    try:
        lines = Path(file).expanduser().read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise ConfigurationError([f"forget_examples: can't read {file} ({reason}); give a text file of ids"]) from error
    ids = [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()]
    ids = [(number, line) for number, line in ids if not line.startswith("#")]
    wrong = [(n, i) for n, i in ids if not CONTENT_HASH.fullmatch(i) and not ROW_NUMBER.fullmatch(i)]
    if wrong:
        more = f" and {len(wrong) - NAMED_AT_MOST} more" if len(wrong) > NAMED_AT_MOST else ""
        named = ", ".join(f"{line[:40]!r} in line {number}" for number, line in wrong[:NAMED_AT_MOST])
        raise ConfigurationError(
            [
                f"forget_examples: {file} holds {named}{more}; expected a content hash (16 hexadecimal digits) or a "
                "row number a line"
            ]
        )
    if not ids:
        raise ConfigurationError([f"forget_examples: {file} names no example; give at least one id"])
    return tuple(line for _, line in ids)


def top_ids(
    output: str, corpus: str, top: int, test_set: str, method: str | None = None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Content hashes of the examples with the largest mean influence, and what was passed over in choosing them.

    The mean is over the seeds whose status is ok. An example whose influence is not above 0 does not help the model
    with the test set: it is never chosen.

    Args:
        output: the run folder.
        corpus: whose examples.
        top: how many.
        test_set: on which their influence counts.
        method: whose influences; None for those of the only one.

    Raises:
        ConfigurationError: if there are no such influences.
    """
    import pyarrow.compute as pc

    how = f"run `untrac trace --method untrac_inv --examples true` with this output and test set {test_set!r} first"
    try:
        table = InfluenceStore(output).examples()
    except (ResultsError, OSError) as error:
        raise ConfigurationError([f"forget_top: {error}"]) from error
    mine = pc.and_(pc.equal(table["corpus"], corpus), pc.equal(table["test_set"], test_set))
    table = table.filter(mine)
    methods = sorted(set(table["method"].to_pylist()))
    if method is not None:
        table = table.filter(pc.equal(table["method"], method))
    elif len(methods) > 1:
        raise ConfigurationError(
            [f"forget_top: examples.parquet holds influences of {', '.join(methods)}; name one as forget_top_method"]
        )
    table = table.filter(pc.is_valid(table["content_hash"]))
    flagged = table.filter(pc.not_equal(table["status"], "ok"))
    table = table.filter(pc.equal(table["status"], "ok"))
    if not table.num_rows:
        of = f" by {method}" if method is not None else ""
        raise ConfigurationError(
            [f"forget_top: {output} holds no influence{of} of examples of {corpus!r} on {test_set!r}; {how}"]
        )
    means = table.group_by("content_hash").aggregate([("influence", "mean")])
    known, means = means.num_rows, means.filter(pc.greater(means["influence_mean"], 0))
    if means.num_rows < top:
        raise ConfigurationError(
            [
                f"forget_top: {top} examples, and of the {known} different examples of {corpus} with an influence on "
                f"{test_set} in {output}, {means.num_rows} have one above 0; ask for no more than those"
            ]
        )
    notes: tuple[str, ...] = ()
    if flagged.num_rows:
        lost = len(set(flagged["content_hash"].to_pylist()) - set(table["content_hash"].to_pylist()))
        statuses = ", ".join(sorted(set(flagged["status"].to_pylist())))
        notes = (
            f"forget_top: {counted(flagged.num_rows, 'influence')} of {corpus} on {test_set} did not count "
            f"({statuses}); {counted(lost, 'example')} had no other and could not be chosen",
        )
    order = [("influence_mean", "descending"), ("content_hash", "ascending")]
    return tuple(means.sort_by(order)["content_hash"].to_pylist()[:top]), notes


@rank_zero_only
def write_ids(path: Path, hashes: list[str]) -> None:
    """Write what was chosen, as ``forget_examples`` reads it."""
    atomic_write_bytes(path, "".join(f"{one}\n" for one in hashes).encode())


def tell_texts(stage: Stage, forget: str, *, memorised: bool) -> None:
    """Say which texts of a forget set are not what they seem: copies, and texts too short for a share of tokens.

    Args:
        stage: the verb's, started.
        forget: name of the forget set.
        memorised: whether the share of tokens that are known by heart counts.
    """
    dataset = stage.data.tokenized[forget]
    short = short_texts_note(forget, dataset.target_counts()) if memorised else None
    for note in (repeated_texts_note(dataset), short):
        if note is not None:
            stage.tell("warning", note)


def write_choice(stage: Checked, forget: str) -> None:
    """Write which examples a stage has chosen into its folder; nothing where a whole dataset is forgotten.

    Args:
        stage: the verb's, started.
        forget: name of the chosen part.
    """
    if stage.data.choice is not None:
        hashes = stage.data.tokenized_forget[forget].distinct_hashes().to_pylist()
        write_ids(stage.folder.path / f"{stage.name}.examples.txt", hashes)
