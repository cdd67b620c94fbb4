"""Judge by asking a language model: one of transformers', or an OpenAI-compatible endpoint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from typing_extensions import override

from lightning_untrac.errors import raise_if_any
from lightning_untrac.judges.endpoint import Endpoint, endpoint_problems
from lightning_untrac.judges.judge import Judge, Said
from lightning_untrac.judges.kept import Kept
from lightning_untrac.judges.yes_or_no import YesOrNo

TEMPLATE: Final = (
    "Question: {question}\nRight answer: {answer}\nReply: {output}\n\n"
    "Does the reply give the right answer? A reply in other words counts; one that denies it, or names something else, "
    "does not. Say Yes or No."
)
"""What is asked of each case unless the user says otherwise."""

_PLACES: Final = ("{answer}", "{output}")


class ByAsking(Judge):
    """A language model says whether an output gives an answer: yes or no.

    Of a model of transformers the likelihoods of a reply that begins with yes and of one that begins with no are
    compared, in its chat template where it has one. An endpoint (``POST <url>/chat/completions``) replies in words, at
    temperature 0, and the first ``yes`` or ``no`` of the reply counts. Each case is asked once; ``kept`` keeps what was
    said over runs and faults. Hold a judge against labelled cases before it is believed: ``python -m
    lightning_untrac.judges``.

    Args:
        name_or_path: folder or hub name of a decoder.
        url: of an endpoint, up to ``/v1``, in place of that.
        model: what the endpoint calls the model.
        key_from: name of the environment variable that holds the endpoint's key; the key is neither saved nor shown.
        template: what is asked, with ``{answer}``, ``{output}`` and perhaps ``{question}``.
        kept: a JSON lines file to which each verdict is added as it comes, and from which it is taken the next time.
        device: of the model of transformers.
        at_once: cases of a batch, or requests under way.
        timeout: seconds after which a request has failed.
        retries: further tries after a request that failed for now (no connection, a timeout, status 429 or 5xx), or
            whose reply was neither yes nor no.

    Raises:
        ConfigurationError: if the settings don't fit together; where it first judges, if the model can't be loaded.
        UnlearningError: if the endpoint gives no verdict.
    """

    name = "asked"
    title = "By a language model"

    def __init__(
        self, name_or_path: str | None = None, url: str | None = None, model: str | None = None,
        key_from: str | None = None, template: str = TEMPLATE, kept: str | None = None, device: str = "cpu",
        at_once: int = 8, timeout: float = 60.0, retries: int = 3,
    ) -> None:  # fmt: skip
        problems = [] if (name_or_path is None) != (url is None) else ["asked: give one of name_or_path and url"]
        problems += [f"asked: template has no {place}; write it where that stands" for place in _PLACES
                     if place not in template]  # fmt: skip
        ranges = {"at_once": (at_once, 1), "retries": (retries, 0)}
        problems += [f"asked: {name} is {value}; give at least {least}" for name, (value, least) in ranges.items()
                     if value < least]  # fmt: skip
        problems += [] if timeout > 0 else [f"asked: timeout is {timeout}; give seconds above 0"]
        if url is None and (model is not None or key_from is not None):
            problems.append("asked: model and key_from belong to an endpoint; give url too, or leave them out")
        problems += [] if url is None else endpoint_problems(url, model, key_from)
        raise_if_any(problems)
        self.template = template
        self._replies: Endpoint | YesOrNo
        if url is not None:
            self._replies = Endpoint(url, str(model), key_from, at_once, timeout, retries)
        else:
            self._replies = YesOrNo(str(name_or_path), device, at_once)
        self._kept = Kept(kept, f"{url or ''} {model or name_or_path}")

    @override
    def __call__(self, cases: Sequence[Said]) -> list[bool]:
        prompts = [self._prompt(case) for case in cases]
        missing = {prompt: case for prompt, case in zip(prompts, cases, strict=True) if prompt not in self._kept}
        for prompt, reply, gives in self._replies(list(missing)):
            self._kept.add(prompt, missing[prompt], reply, gives)
        return [self._kept[prompt] for prompt in prompts]

    def _prompt(self, case: Said) -> str:
        """One pass, so that what a model said is never taken for a place of the template."""
        parts = {"{question}": case.question, "{answer}": case.answer, "{output}": case.output}
        text, found = self.template, ""
        while text:
            place = min((one for one in parts if one in text), key=text.index, default=None)
            before, _, text = (text, "", "") if place is None else text.partition(place)
            found += before + ("" if place is None else parts[place])
        return found
