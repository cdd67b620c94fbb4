"""Try what an architecture is instead of believing its name: on a small model of it, before any weight is loaded.

The small model has the same layers in fewer and narrower copies, a vocabulary of 64 and random weights. Trying it takes
some hundredths of a second, for a model of any size, and once a process for each configuration. The state of torch's
random numbers stays as it was.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lightning_untrac.faults import first_line
from lightning_untrac.modules.decoder_inputs import NoDecoderStartError, decoder_inputs
from lightning_untrac.modules.heads import (
    Reads,
    Seq2SeqHead,
    SequenceHead,
    TokenHead,
    head_of,
    task_name,
    without_cache,
)
from lightning_untrac.modules.small_models import make, model_class, parts, smaller_configs

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

SHORT, LONG = 8, 24
"""Tokens of a text that every model takes, and what a context is made as small as, to find where it ends."""

LEAK = 1e-4
"""A logit that moves by more than this share of the logits' spread moved for a reason other than rounding."""

CONTEXT_FIELD = re.compile(r"position|seq_len|sequence_length|n_ctx|context_len")
"""Names of configuration fields that may say how long a text can be; each is tried."""


@dataclass(frozen=True)
class Findings:
    """What was found out about an architecture.

    Attributes:
        problems: why it is no language model that can be traced.
        context: most tokens of a text (of a source, for an encoder-decoder) that pass; None where there is no limit.
        target_context: the same of an encoder-decoder's targets; ``context`` for any other model.
        unreached: modules outside the repeated layers that no text reaches, such as a vision tower.
        reached_by_chance: a parameter that some texts reach and others don't, such as an expert's, or None.
        reads: of which token's last hidden state a sequence classifier reads; None for others, or if it is not known.
    """

    problems: tuple[str, ...] = ()
    context: int | None = None
    target_context: int | None = None
    unreached: tuple[str, ...] = ()
    reached_by_chance: str | None = None
    reads: Reads | None = None


_known: dict[tuple[str, str, bool], Findings] = {}


def probe(config: PretrainedConfig, *, trust_remote_code: bool = False) -> Findings:
    """Try an architecture.

    Args:
        config: of the model; it stays as it is.
        trust_remote_code: as for transformers.
    """
    key = (type(config).__qualname__, config.to_json_string(use_diff=False), trust_remote_code)
    if key not in _known:
        with _on_the_side():
            _known[key] = _Probe(config, trust_remote_code).findings()
    return _known[key]


@contextmanager
def _on_the_side() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]), torch.inference_mode(False), torch.enable_grad():
        torch.manual_seed(0)
        yield


class _Probe:
    def __init__(self, config: PretrainedConfig, trust_remote_code: bool) -> None:
        self.config, self.trust = config, trust_remote_code
        self.head = head_of(config)
        self.is_seq2seq = isinstance(self.head, Seq2SeqHead)
        believed = getattr(config.get_text_config(), "max_position_embeddings", None)
        self.believed = believed if isinstance(believed, int) and believed > 0 else None

    def findings(self) -> Findings:
        if headless := self._headless():
            return Findings((headless,))
        failed = None
        for small in smaller_configs(self.config):
            try:
                model = self._make(small)
                self._logits(model.eval(), SHORT, SHORT)
            except NoDecoderStartError as error:
                return Findings((f"model: {error}",))
            except Exception as error:  # whatever a class of transformers makes of it
                failed = failed or error
                continue
            return self._of(small, model)
        # Where the layers are as they will be, their error is the model's own; a smaller one's may be the shrinking's.
        if failed is not None and next(iter(smaller_configs(self.config))).num_hidden_layers == self._num_layers():
            cause = first_line(failed)
            return Findings((f"model: a text can't go through {self._name} ({cause}); check the fields of its config",))
        return Findings((), self.believed, self.believed)

    def _of(self, small: PretrainedConfig, model: PreTrainedModel) -> Findings:
        problems = []
        reads = self._reads(model) if isinstance(self.head, SequenceHead) else None
        if reads == "last" and self.config.get_text_config().pad_token_id is None:
            problems.append(
                f"model: {self._name} reads the last token that is no padding, and has no padding token; set "
                "pad_token_id in its config.json (or model.config), and the tokenizer's pad_token"
            )
        if not isinstance(self.head, TokenHead) and self._looks_ahead(model):
            problems.append(
                f"model: {self._name} is no causal model: another last token changes what it predicts before it, so "
                "that it sees what it is to predict; give a causal model, or (for a BERT-like one) set is_decoder in "
                "its config, or use_bidirectional_attention: false"
            )
        context, target_context = self._contexts(small)
        return Findings(tuple(problems), context, target_context, *self._unreached(model), reads)

    @property
    def _name(self) -> str:
        return str(self.config.model_type or type(self.config).__name__)

    def _num_layers(self) -> int | None:
        return getattr(self.config, "num_hidden_layers", None)

    def _headless(self) -> str | None:
        if type(self.config) in model_class(self.config)._model_mapping or hasattr(self.config, "auto_map"):
            return None
        what = task_name(self.config).replace("_", "-") if isinstance(self.head, TokenHead) else "language-model"
        return f"model: {self._name} has no {what} head in transformers; give {self.head.wanted}"

    def _make(self, config: PretrainedConfig) -> PreTrainedModel:
        return make(config, trust_remote_code=self.trust)

    # -- what is tried ---------------------------------------------------------------------------------------------

    def _logits(self, model: PreTrainedModel, length: int, target_length: int, other_last: bool = False) -> Tensor:
        """Logits of a made-up text, ``[1, length, vocabulary]``."""
        ids = self._ids(model, target_length if self.is_seq2seq else length)
        if not self.is_seq2seq:
            ids[0, -1] += int(other_last)
            return model(input_ids=ids, attention_mask=torch.ones_like(ids), **without_cache(model)).logits
        source = self._ids(model, length)
        inputs = decoder_inputs(model, ids)
        inputs[0, -1] += int(other_last)
        mask = torch.ones_like(source)
        return model(input_ids=source, attention_mask=mask, decoder_input_ids=inputs, use_cache=False).logits

    @staticmethod
    def _ids(model: PreTrainedModel, length: int) -> Tensor:
        fields = [field for part in parts(model.config) for field in vars(part).items()]
        special = {value for name, value in fields if name.endswith(("_id", "_index")) and isinstance(value, int)}
        size = model.get_input_embeddings().weight.shape[0]
        usable = [index for index in range(min(size, 60)) if index not in special and index + 1 not in special][:-1]
        return torch.tensor([usable * (1 + length // len(usable))])[:, :length]

    @torch.no_grad()
    def _looks_ahead(self, model: PreTrainedModel) -> bool:
        one, other = (self._logits(model, SHORT, SHORT, last)[0, :-1].float() for last in (False, True))
        return bool((one - other).abs().max() > LEAK * one.std())

    def _reads(self, model: PreTrainedModel) -> Reads | None:
        """Which tokens' last hidden states the classes depend on."""
        ids = self._ids(model, SHORT)
        options = {"output_hidden_states": True, **without_cache(model)}
        outputs = model(input_ids=ids, attention_mask=torch.ones_like(ids), **options)
        (gradient,) = torch.autograd.grad(outputs.logits.square().sum(), outputs.hidden_states[-1], allow_unused=True)
        if gradient is None:
            return None
        read = gradient[0].abs().amax(dim=1) > 0
        if read.all():
            return "mean"
        places: dict[int, Reads] = {0: "first", SHORT - 1: "last"}
        return places.get(int(read.nonzero()[0])) if read.sum() == 1 else None

    def _contexts(self, small: PretrainedConfig) -> tuple[int | None, int | None]:
        found: list[list[int]] = [[], []]
        for part in parts(small):
            for name, value in list(vars(part).items()):
                if not CONTEXT_FIELD.search(name) or not isinstance(value, int) or isinstance(value, bool) or value < 4:
                    continue
                for limits, passes in zip(found, self._lengths_that_pass(small, part, name), strict=True):
                    if passes is not None:
                        limits.append(value - (LONG - passes))
        ends = [min(limits, default=self.believed) for limits in found]
        return ends[0], ends[1] if self.is_seq2seq else ends[0]

    def _lengths_that_pass(self, small: PretrainedConfig, part: Any, name: str) -> list[int | None]:
        """Most tokens that pass with one field at ``LONG``, of a text and of a target; None where that is no limit."""
        before = getattr(part, name)
        try:
            setattr(part, name, LONG)
            model = self._make(small).eval()
        except Exception:  # a field that says something else, and can't be so
            return [None, None]
        finally:
            setattr(part, name, before)
        calls: list[Callable[[int], Any]] = [lambda length: self._logits(model, length, SHORT)]
        if self.is_seq2seq:
            calls.append(lambda length: self._logits(model, SHORT, length))
        found: list[int | None] = [None, None]
        for index, call in enumerate(calls):
            if not self._passes(call, LONG + 2) and self._passes(call, SHORT):
                found[index] = next(length for length in range(LONG + 1, 0, -1) if self._passes(call, length))
        return found

    @staticmethod
    @torch.no_grad()
    def _passes(call: Callable[[int], Any], length: int) -> bool:
        try:
            call(length)
        except Exception:  # an index or a shape out of range, in as many classes as there are models
            return False
        return True

    def _unreached(self, model: PreTrainedModel) -> tuple[tuple[str, ...], str | None]:
        model.zero_grad()
        self._logits(model.eval(), SHORT, SHORT).float().square().mean().backward()
        missed = {id(p): name for name, p in model.named_parameters() if p.requires_grad and p.grad is None}
        whole: list[str] = []
        for name, module in model.named_modules():
            own = [id(parameter) for parameter in module.parameters()]
            outside = name and not any(part.isdigit() for part in name.split("."))
            inside = any(name.startswith(f"{above}.") for above in whole)
            if own and outside and not inside and all(parameter in missed for parameter in own):
                whole.append(name)
        rest = [name for name in missed.values() if not any(name.startswith(f"{above}.") for above in whole)]
        return tuple(whole), rest[0] if rest else None
