"""The questions that a DataModule holds: those that must go, those that are to stay, and those that only report."""

from __future__ import annotations

from typing import Any, NamedTuple

from lightning_untrac.antisamples.forgotten import Question
from lightning_untrac.antisamples.kept import Kept
from lightning_untrac.antisamples.rewordings import key
from lightning_untrac.data.encoding import TokenizationConfig
from lightning_untrac.data.question_frame import QuestionFrame, Row, frame_of, questions_in
from lightning_untrac.errors import UnlearningError
from lightning_untrac.naming import counted


class Given(NamedTuple):
    """What the loop begins with.

    Attributes:
        frame: in which the forget set's questions stand; anti-samples are trained on in it.
        forget: its questions.
        retained: those of each retained dataset.
        plain: rows of retained data that ask nothing, or in another form; they are rehearsed as they stand.
        elsewhere: keys of the questions of test sets, holdouts and retained data, which no rewording may be.
        notes: what was left out or is doubtful, a sentence each.
    """

    frame: QuestionFrame
    forget: list[Question]
    retained: list[list[Kept]]
    plain: list[Row]
    elsewhere: set[str]
    notes: list[str]


def given(module: Any) -> Given:
    """Read the questions of the episode that runs.

    Args:
        module: an ``Unlearning`` that is being fitted with a ``CorpusDataModule``.

    Raises:
        UnlearningError: if the forget set has none.
    """
    data: Any = module.trainer.datamodule
    how = TokenizationConfig(module.is_seq2seq, None, data.append_eos, data.document_start)
    forget = data.tokenized[data.current_episode.dataset]
    frame = frame_of(forget, module.tokenizer, how)
    questions = [Question(*asked, fact, forget.name) for asked, fact in _asked(forget, frame, module)]
    if not questions:
        raise UnlearningError(
            f"{forget.name}: has no questions; UnSTAR forgets answers, so give a dataset with `prompt` and `target`, "
            "or conversations of one turn"
        )
    notes = []
    asked_otherwise = [one for one in questions if frame.question(frame.prompt(one.text)) != one.text]
    if asked_otherwise:
        notes.append(
            f"{forget.name}: {counted(len(asked_otherwise), 'question')} can't be put back into tokens as they stand, "
            f"such as {asked_otherwise[0].text!r}: the tokenizer does not know all of their words"
        )
    grouped = forget.marks.groups is not None
    facts, keys = {one.fact for one in questions}, {key(one.text) for one in questions}
    retained: list[list[Kept]] = []
    plain: list[Row] = []
    elsewhere: set[str] = set()
    for name in data.active_plan.retained(data.current_episode.dataset, data.corpus_names):
        dataset = data.tokenized[name]
        own = frame_of(dataset, module.tokenizer, how)
        asked = _asked(dataset, own, module) if own.is_like(frame) else []
        found = [Kept(*one, fact, name) for one, fact in asked]
        same_fact = grouped and dataset.marks.groups is not None
        stays = [one for one in found if key(one.text) not in keys and not (same_fact and one.fact in facts)]
        if len(stays) < len(found):
            notes.append(
                f"{name}: {counted(len(found) - len(stays), 'question')} of {len(found)} ask for what is forgotten "
                f"(the same question, or the same group) and are neither asked nor rehearsed"
            )
        retained.append(stays)
        elsewhere |= {key(one.text) for one in stays}
        if not asked:
            rows = data.training_examples(name)
            plain += [Row(rows[index]["input_ids"], rows[index]["labels"]) for index in range(len(rows))]
    for dataset in [*data.tokenized_test_sets.values(), *data.tokenized_holdout.values()]:
        own = frame_of(dataset, module.tokenizer, how)
        elsewhere |= {key(question) for _, question, _ in questions_in(dataset, own, module.is_seq2seq)}
    return Given(frame, questions, retained, plain, elsewhere, notes)


def _asked(dataset: Any, frame: QuestionFrame, module: Any) -> list[tuple[tuple[str, str], str]]:
    """Questions with answers, and the fact that each asks for: its group, with the answer where that has several."""
    groups = dataset.marks.groups
    rows = [*questions_in(dataset, frame, module.is_seq2seq)]
    if groups is None:
        return [((question, answer), answer) for _, question, answer in rows]
    answers: dict[str, set[str]] = {}
    for index, _, answer in rows:
        answers.setdefault(groups[index], set()).add(key(answer))
    return [
        ((question, answer), groups[index] if len(answers[groups[index]]) == 1 else f"{groups[index]} ({answer})")
        for index, question, answer in rows
    ]
