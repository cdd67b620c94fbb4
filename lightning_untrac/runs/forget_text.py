"""Forget questions or texts: the datasets that they become, and other answers of the model that are to stay."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from jsonargparse import Namespace
from lightning.pytorch.utilities import rank_zero_only

from lightning_untrac.config.all_at_once import nowhere
from lightning_untrac.config.parsing import Parsed
from lightning_untrac.data.config import DatasetConfig
from lightning_untrac.data.neutral import apart_from, is_question, neutral_prompts
from lightning_untrac.errors import ConfigurationError, raise_if_any
from lightning_untrac.naming import counted
from lightning_untrac.runs.answering import Answers, ask, prompt_problems
from lightning_untrac.runs.asked import Intent
from lightning_untrac.runs.finished import folder_problems
from lightning_untrac.runs.saved_models import digest_of, saved_model, tokenizer_digest
from lightning_untrac.runs.stage import Stage
from lightning_untrac.runs.surroundings import say
from lightning_untrac.tables.files import atomic_write_bytes
from lightning_untrac.verb import Arguments

NAME: Final = "text"
"""What a forget set of texts is called where the user names none."""

FLAG: Final = "--forget_text"

PARTS: Final = {
    "kept": ("corpora", "kept_answers"),
    "held_out": ("test_sets", "held_out_answers"),
    "forget": ("forget", ""),
}
"""Of each file the list of datasets that it stands in, and its name there; the last one is written last."""

FEWEST: Final = 4
"""Other prompts that there must be: half of them are stepped on, half are only measured."""

WAIT_SECONDS: Final = 600.0
"""How long the other ranks wait for the first one to write the files."""


@dataclass(frozen=True)
class ForgetTexts:
    """Texts to forget, and prompts whose answers are to stay.

    Attributes:
        name: of the forget set.
        folder: of the files, one a part.
        prompts: by part (``forget``, ``kept``, ``held_out``). None are kept where there are corpora.
        openings: whether a prompt to keep that is no question is continued, and not a text that is to stay as it is.
        model: digest of the model that answers.
        problems: what is wrong with the options.
        notes: what was left out, a sentence each.
    """

    name: str
    folder: Path
    prompts: Mapping[str, Sequence[str]]
    openings: bool
    model: str
    problems: Sequence[str]
    notes: Sequence[str]

    # -- what is asked -----------------------------------------------------------------------------------------------

    @classmethod
    def of(cls, parsed: Parsed) -> ForgetTexts | None:
        """What the options of ``unlearn`` ask for; None where they name a dataset."""
        options = parsed.options
        if options.forget_text is None:
            return None
        given = [options.forget_text] if isinstance(options.forget_text, str) else options.forget_text
        texts = list(dict.fromkeys(text.strip() for text in given))
        name = NAME if options.forget is None else options.forget
        run = name if options.name is None else f"{name}-{options.name}"
        folder = Path(options.output) / f"unlearn-{run}.texts"
        corpora = [one for one in parsed.config.data.get("corpora") or [] if not _is_in(one, folder)]
        problems = _option_problems(options, texts, bool(corpora))
        others, notes, found = _others(options.retain_texts, texts)
        prompts = {"forget": texts, "kept": [] if corpora else others[::2], "held_out": others[1::2]}
        model = _answers_of(parsed)
        return cls(name, folder, prompts, options.retain_texts is None, model, [*problems, *found], notes)

    @property
    def is_answered(self) -> bool:
        """Whether the files are there, with answers of this model to these prompts."""
        return all(
            [row.get("asked") for row in self.rows(part)] == list(prompts)
            and {row.get("model") for row in self.rows(part)} <= {self.model}
            for part, prompts in self.prompts.items()
        )

    def rows(self, part: str) -> list[dict[str, str]]:
        """The rows of a file; none where it is not there or damaged."""
        try:
            lines = self._file(part).read_text(encoding="utf-8").splitlines()
            return [row for line in lines if isinstance(row := json.loads(line), dict)]
        except (OSError, ValueError):
            return []

    def _file(self, part: str) -> Path:
        return self.folder / f"{part}.jsonl"

    # -- what they become --------------------------------------------------------------------------------------------

    def put_into(self, data: Namespace) -> None:
        """Name the files in a configuration of the data; others with the bare prompts, before there are answers.

        Args:
            data: the configuration.
        """
        here = self if self.is_answered else self._unanswered()
        for part, (role, name) in PARTS.items():
            others = [one for one in data.get(role) or [] if not _is_in(one, self.folder)]
            file = str(here._file(part))
            mine = DatasetConfig(file, name=name or self.name, prompt="prompt", target="target", separator="")
            data[role] = [*others, *([Namespace(**asdict(mine))] if self.prompts[part] else [])]

    def _unanswered(self) -> ForgetTexts:
        """The same in a folder that goes, for the checks: a text of some length stands for each answer."""
        here = replace(self, folder=Path(nowhere()) / self.folder.name)
        for part, prompts in self.prompts.items():
            here._write(part, [Answers(text, "" if _is_whole(here, part, text) else text, text, text, "")
                               for text in prompts])  # fmt: skip
        return here

    def _write(self, part: str, answers: Sequence[Answers]) -> None:
        rows = [json.dumps({**asdict(one), "model": self.model}, ensure_ascii=False) for one in answers]
        self.folder.mkdir(parents=True, exist_ok=True)
        atomic_write_bytes(self._file(part), "".join(f"{row}\n" for row in rows).encode())

    def answered(self, stage: Stage, asked: Intent) -> Stage:
        """Let the model answer, before the first step, where it has not done so already.

        Args:
            stage: whose data are the bare prompts.
            asked: what the verb is going to do.

        Returns:
            The stage with the answers as data.

        Raises:
            ConfigurationError: with everything that is wrong, before the model is loaded.
        """
        if self.is_answered:
            return stage
        keys = [
            f"data.{role}.{place}.path"
            for role, _ in PARTS.values()
            for place in range(len(stage.config["data"][role] or []))
        ]
        found = [*asked.problems, *stage.problems(asked.plan), *folder_problems(stage, keys)]
        found += [] if found else prompt_problems(stage, self.prompts["forget"])
        raise_if_any(dict.fromkeys(found))
        here = replace(self, folder=stage.folder.path / self.folder.name)
        whole = [_is_whole(self, part, text) for part in PARTS for text in self.prompts[part]]
        texts = [text for part in PARTS for text in self.prompts[part]]
        say(f"unlearn: the model answers {counted(len(texts), 'prompt')} before the first step")
        answers = ask(stage, texts, whole)
        raise_if_any(
            f"forget_text: the model answers nothing to {one.asked!r}: there is nothing to forget; ask otherwise"
            for one in answers[-len(self.prompts["forget"]) :]
            if not one.target.strip()
        )
        stage.folder.claim_folder()
        for part in PARTS:
            mine, answers = answers[: len(self.prompts[part])], answers[len(self.prompts[part]) :]
            rank_zero_only(here._write)(part, mine)
        deadline = time.monotonic() + WAIT_SECONDS
        while not here.is_answered:
            if time.monotonic() > deadline:
                raise ConfigurationError([f"output: {here.folder} can't be read; all ranks need the same folder"])
            time.sleep(0.05)
        stage.parsed.options.output = str(stage.folder.path)  # of a trial run another one
        here.put_into(stage.parsed.config.data)
        return Stage(stage.parsed, asked)


def as_it_stands(argv: Arguments) -> Arguments:
    """A command line whose text to forget is a list of one, unless it is a list already: a text may hold any sign.

    Args:
        argv: of ``unlearn``.

    Example:
        >>> as_it_stands(["--forget_text", "Note: # 1", "--forget_text=[a?, b?]"])
        ['--forget_text', '["Note: # 1"]', '--forget_text=[a?, b?]']
    """
    found: list[Any] = []
    for one in argv:
        flag, equals, text = one.partition("=") if isinstance(one, str) else ("", "", "")
        if found and found[-1] == FLAG:
            flag, equals, text = "", "", str(one)
        elif flag != FLAG or not equals:
            found.append(one)
            continue
        is_list = text.startswith("[") and text.endswith("]")
        found.append(f"{flag}{equals}{text if is_list else json.dumps([text], ensure_ascii=False)}")
    return found


def _is_in(entry: Any, folder: Path) -> bool:
    """Whether a dataset is of a folder of answers, also in another place."""
    return Path(entry.path).parent.name == folder.name


def _is_whole(texts: ForgetTexts, part: str, text: str) -> bool:
    """Whether a prompt is itself what is to go or to stay, and not the beginning of it."""
    return not is_question(text) and (part == "forget" or not texts.openings)


def _option_problems(options: Any, texts: Sequence[str], corpora: bool) -> list[str]:
    found = []
    if not texts or "" in texts:
        found.append("forget_text: an empty text; give a question, such as 'What is the capital of France?', or a text")
    found += [
        f"{name}: chooses examples of a corpus, and forget_text names what to forget; give one of the two"
        for name in ("forget_examples", "forget_top", "forget_top_of", "forget_top_method")
        if getattr(options, name) is not None
    ]
    if options.retain_texts is not None and corpora:
        found.append("retain_texts: there are corpora, which stay; leave out one of the two")
    return found


def _others(file: str | None, texts: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    """Prompts whose answers are to stay, what was left out of them, and what is wrong."""
    if file is None:
        shipped = neutral_prompts()
        left = apart_from(shipped, texts)
        dropped = len(shipped) - len(left)
        notes = [f"{dropped} of {len(shipped)} neutral prompts share a word with what is forgotten and were left out"]
    else:
        try:
            lines = Path(file).expanduser().read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
            return (
                [],
                [],
                [f"retain_texts: can't read {file} ({reason}); give a text file, a question or a text a line"],
            )
        given = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
        left = [line for line in given if line not in texts]
        dropped = len(given) - len(left)
        notes = [f"{counted(dropped, 'line')} of {file} are forgotten and were left out"]
    problems = []
    if len(left) < FEWEST:
        problems.append(
            f"retain_texts: {counted(len(left), 'prompt')} left to keep; give a file of at least {FEWEST} questions or "
            "texts, a line each"
        )
    return left, notes if dropped else [], problems


def _answers_of(parsed: Parsed) -> str:
    """Digest of the model and the tokenizer with which a command begins."""
    settings = parsed.config.model.init_args
    path = settings.get("name_or_path") or saved_model(Path(parsed.options.output), "model")
    kept = ("revision", "dtype", "config", "init_seed")
    parts: list[Any] = [settings.get(name) for name in kept] + [parsed.config.data.get("document_start")]
    parts.append(digest_of(Path(path)) if path is not None and Path(path).is_dir() else path)
    tokenizer = settings.get("tokenizer") or path
    parts.append(tokenizer_digest(Path(tokenizer)) if tokenizer is not None and Path(tokenizer).is_dir() else tokenizer)
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:16]
