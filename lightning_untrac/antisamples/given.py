"""The questions that a DataModule holds: those that must go, those that are to stay, and those that only report."""

from __future__ import annotations

from typing import Any, NamedTuple

from lightning_untrac.antisamples.forgotten import Question
from lightning_untrac.antisamples.kept import Kept
from lightning_untrac.antisamples.rewordings import key
from lightning_untrac.data.encoding import TokenizationConfig
from lightning_untrac.data.question_frame import QuestionFrame, Row, frame_of, questions_in
from lightning_untrac.errors import UnlearningError


class Given(NamedTuple):
    """What the loop begins with.

    Attributes:
        frame: in which the forget set's questions stand; anti-samples are trained on in it.
        forget: its questions.
        retained: those of each retained dataset.
        plain: rows of retained data that ask nothing, or in another form; they are rehearsed as they stand.
        held_out: keys of the questions of test sets and holdouts.
    """

    frame: QuestionFrame
    forget: list[Question]
    retained: list[list[Kept]]
    plain: list[Row]
    held_out: set[str]


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
    retained: list[list[Kept]] = []
    plain: list[Row] = []
    for name in data.active_plan.retained(data.current_episode.dataset, data.corpus_names):
        dataset = data.tokenized[name]
        own = frame_of(dataset, module.tokenizer, how)
        asked = _asked(dataset, own, module) if own.is_like(frame) else []
        retained.append([Kept(*one, fact, name) for one, fact in asked])
        if not asked:
            rows = data.training_examples(name)
            plain += [Row(rows[index]["input_ids"], rows[index]["labels"]) for index in range(len(rows))]
    held_out = set()
    for dataset in [*data.tokenized_test_sets.values(), *data.tokenized_holdout.values()]:
        own = frame_of(dataset, module.tokenizer, how)
        held_out |= {key(question) for _, question, _ in questions_in(dataset, own, module.is_seq2seq)}
    return Given(frame, questions, retained, plain, held_out)


def _asked(dataset: Any, frame: QuestionFrame, module: Any) -> list[tuple[tuple[str, str], str]]:
    """Questions with answers, and the fact that each asks for."""
    groups = dataset.marks.groups
    return [
        ((question, answer), answer if groups is None else groups[index])
        for index, question, answer in questions_in(dataset, frame, module.is_seq2seq)
    ]
