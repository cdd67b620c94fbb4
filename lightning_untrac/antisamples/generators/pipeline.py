"""Another model writes the anti-samples: any text generation pipeline of transformers."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import torch
from typing_extensions import override

from lightning_untrac.antisamples.generators.generator import Asked, Generator, Written
from lightning_untrac.modules.refusals import refused


class Pipeline(Generator):
    """``transformers.pipeline("text-generation", model=...)``, through the model's chat template where it has one.

    The first rank writes and tells the others. The model is loaded when the first text is asked for.

    Args:
        name_or_path: hub name or folder of the model.
        device: where it runs, such as ``cpu`` or ``cuda:1``; by default beside the model that is unlearned.
        batch_size: texts of a batch.
        revision: of the hub model.
    """

    name = "pipeline"

    def __init__(
        self, name_or_path: str, device: str | None = None, batch_size: int = 16, revision: str | None = None
    ) -> None:
        self.name_or_path, self.device, self.batch_size, self.revision = name_or_path, device, batch_size, revision
        self._module: Any = None
        self._made: Any = None

    @override
    def attach(self, module: Any) -> None:
        self._module = module

    @override
    def write(self, asked: Sequence[Asked], temperature: float, longest: int) -> list[Written]:
        trainer = None if self._module is None else self._module.trainer
        first = trainer is None or trainer.is_global_zero
        found = self._write(asked, temperature, longest) if first and asked else []
        return found if trainer is None else list(trainer.strategy.broadcast(found, src=0))

    def _write(self, asked: Sequence[Asked], temperature: float, longest: int) -> list[Written]:
        pipe = self._pipeline()
        tokenizer = pipe.tokenizer
        texts: list[Any] = [one.text for one in asked]
        if tokenizer.chat_template:
            texts = [[{"role": "user", "content": text}] for text in texts]
        draws: dict[str, Any] = {"do_sample": False, "temperature": 1.0, "top_p": 1.0, "top_k": 50}
        if temperature > 0:
            draws = {"do_sample": True, "temperature": temperature, "top_p": 1.0, "top_k": 0}
        seed = zlib.crc32(repr([one.draw for one in asked]).encode())
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            made = pipe(texts, max_new_tokens=longest, batch_size=self.batch_size, return_full_text=False, **draws)
        return [self._written(one[0]["generated_text"], longest) for one in made]

    def _written(self, text: str, longest: int) -> Written:
        size = len(self._made.tokenizer(text, add_special_tokens=False)["input_ids"])
        return Written(text.strip(), size < longest, size)

    def _pipeline(self) -> Any:
        if self._made is None:
            import transformers

            device = self.device or (None if self._module is None else self._module.trainer.strategy.root_device)
            with refused(lambda cause: f"generator: can't load {self.name_or_path!r} ({cause}); give a causal model"):
                self._made = transformers.pipeline(
                    "text-generation", model=self.name_or_path, revision=self.revision, device=device
                )
            if self._made.tokenizer.pad_token_id is None:
                self._made.tokenizer.pad_token_id = self._made.tokenizer.eos_token_id
            self._made.tokenizer.padding_side = "left"
        return self._made
