"""A tiny model that answers questions about a few people, gives reasons for answers that it is told, and rewords."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import torch

from lightning_untrac import LanguageModule
from lightning_untrac.data.builtin.people.questions import HELD_OUT, TRAINED
from lightning_untrac.data.builtin.people.reasons import REASONS, REPLY
from lightning_untrac.data.builtin.people.world import Fact, associations, facts

WORDINGS = 3
STEPS, LR = 200, 5e-3
ASK = "{question} Answer with {answer} and give a reason."
REWORD = "{question} Ask it in other words."


class LittlePeople(NamedTuple):
    """What was trained, and files of questions.

    Attributes:
        model: folder.
        folder: with ``forget``, ``near``, ``far`` and ``held`` as JSON lines, and ``unknown``, of a fact that the model
            never saw.
    """

    model: str
    folder: Path

    def entry(self, name: str) -> dict[str, str]:
        """A dataset's configuration."""
        return {"name": name, "path": str(self.folder / f"{name}.jsonl"), "prompt": "prompt", "target": "target",
                "group": "group"}  # fmt: skip


def asked(some: list[Fact], wordings: dict[str, tuple[str, ...]], count: int = WORDINGS) -> list[dict[str, str]]:
    """Rows of questions."""
    return [
        {"prompt": wording.format(who=fact.subject), "target": fact.answer, "group": fact.group}
        for fact in some
        for wording in wordings[fact.relation][:count]
    ]


def make(folder: Path) -> LittlePeople:
    """Train it, in seconds, by plain torch."""
    forgotten = associations()[0]
    others = [fact for fact in facts() if fact.relation in ("school", "job")]
    near = [fact for fact in others if fact.subject == forgotten.subject and fact != forgotten]
    far = [fact for fact in others if fact.subject != forgotten.subject and fact.answer != forgotten.answer][:3]
    unknown = [fact for fact in others if fact.subject not in {forgotten.subject, *(one.subject for one in far)}][:1]
    known = [forgotten, *near, *far]
    made = {
        "forget": asked([forgotten], TRAINED),
        "near": asked(near, TRAINED),
        "far": asked(far, TRAINED),
        "held": asked([forgotten], HELD_OUT, 2),
        "unknown": asked(unknown, TRAINED),
    }
    for name, rows in made.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pairs = [(row["prompt"], row["target"]) for row in asked(known, TRAINED)]
    pairs += [(row["prompt"], row["target"]) for row in made["held"]]
    for fact in known:
        questions = [one.format(who=fact.subject) for one in TRAINED[fact.relation][: WORDINGS + 1]]
        pairs.append((questions[-1], fact.answer))  # known, and only found by rewording
        # The skills are learned by heart here: every question with every answer.
        answers = {one.answer for one in known if one.relation == fact.relation}
        for question in questions:
            for answer in sorted(answers):
                reason = REASONS[fact.relation][0].format(who=fact.subject, answer=answer)
                pairs.append((ASK.format(question=question, answer=answer), REPLY.format(answer=answer, reason=reason)))
            pairs.append((REWORD.format(question=question), questions[-1]))
    config = {
        "model_type": "llama", "hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 128, "tie_word_embeddings": True,
        "initializer_range": 0.1,
    }  # fmt: skip
    module = LanguageModule(config=config, tokenizer="people-words", init_seed=0)
    module.configure_model()
    assert module.model is not None
    ids, labels = _batch(module.tokenizer, pairs)
    optimizer = torch.optim.Adam(module.model.parameters(), lr=LR)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LR, total_steps=STEPS)
    for _ in range(STEPS):
        optimizer.zero_grad()
        logits, targets = module.model(input_ids=ids).logits[:, :-1], labels[:, 1:]
        losses = torch.nn.functional.cross_entropy(logits.transpose(1, 2), targets, reduction="none")
        (losses.sum(dim=1) / (targets >= 0).sum(dim=1)).mean().backward()  # short answers count as much as reasons
        optimizer.step()
        schedule.step()
    module.model.save_pretrained(folder / "model")
    module.tokenizer.save_pretrained(folder / "model")
    return LittlePeople(str(folder / "model"), folder)


def _batch(tokenizer: Any, pairs: list[tuple[str, str]]) -> tuple[torch.Tensor, torch.Tensor]:
    from lightning_untrac.data.encoding import TokenizationConfig
    from lightning_untrac.data.question_frame import QuestionFrame

    frame = QuestionFrame(tokenizer, TokenizationConfig(append_eos=True))
    rows = [frame.row(*pair) for pair in pairs]
    size = max(len(row.input_ids) for row in rows)
    ids, labels = torch.zeros(len(rows), size, dtype=torch.long), torch.full((len(rows), size), -100)
    for place, row in enumerate(rows):
        ids[place, : len(row.input_ids)] = torch.tensor(row.input_ids)
        labels[place, : len(row.labels)] = torch.tensor(row.labels)
    return ids, labels
