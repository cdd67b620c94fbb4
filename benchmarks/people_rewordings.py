"""How well does the model of ``recipes/people.yaml`` reword questions that it never saw reworded?

    python benchmarks/people_rewordings.py runs/people [--draws 8] [--temperature 1] [--seed 0] [--wrong]

Each trained wording of the six associations' questions is put into each way of asking for other words; the model says
one rewording greedily and ``--draws`` of them at ``--temperature``. A rewording is *right* where it is a wording,
trained or held out, of the question about the same person and relation; *another question* where it is a wording of a
question about another person or relation; anything else is *no question that is known*. ``--wrong`` prints what is not
right.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence

import torch
from transformers import AutoModelForCausalLM

from lightning_untrac.data.builtin.people.questions import HELD_OUT, TRAINED
from lightning_untrac.data.builtin.people.rewordings import REWORD
from lightning_untrac.data.builtin.people.world import Fact, associations, facts
from lightning_untrac.data.tokenizers import load_tokenizer

LONGEST = 24


def rewordings(folder: str, prompts: Sequence[str], draws: int, temperature: float) -> list[list[str]]:
    """What the model says to each prompt: greedily where ``draws`` is 0."""
    tokenizer, model = load_tokenizer(folder), AutoModelForCausalLM.from_pretrained(folder).eval()
    start = [tokenizer.bos_token_id]
    said: list[list[str]] = []
    options = {"do_sample": True, "temperature": temperature, "top_k": 0, "num_return_sequences": draws}
    for prompt in prompts:
        ids = torch.tensor([start + tokenizer(prompt, add_special_tokens=False)["input_ids"]])
        made = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=LONGEST,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
            **(options if draws else {"do_sample": False}),
        )
        said.append([one.strip() for one in tokenizer.batch_decode(made[:, ids.shape[1] :], skip_special_tokens=True)])
    return said


def main() -> None:
    """Print a line for the greedy rewordings and one for the drawn ones."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="of the run; its model/ is read")
    parser.add_argument("--draws", type=int, default=8)
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--wrong", action="store_true", help="print the rewordings that are not right")
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    asked = [
        (fact, wording.format(who=fact.subject), ask)
        for fact in associations()
        for wording in TRAINED[fact.relation]
        for ask in REWORD
    ]
    known = {one: (fact, kind) for kind, many in (("held out", HELD_OUT), ("trained", TRAINED)) for fact in facts()
             for one in wordings_of(fact, many)}  # fmt: skip
    for draws in (0, options.draws):
        said = rewordings(f"{options.folder}/model", [ask.format(question=one) for _, one, ask in asked], draws,
                          options.temperature)  # fmt: skip
        counts: Counter[str] = Counter()
        different: set[tuple[str, str]] = set()
        for (fact, question, _), ones in zip(asked, said, strict=True):
            for one in ones:
                about, kind = known.get(one, (None, ""))
                verdict = "right" if about == fact else "another question" if about else "no question that is known"
                counts.update(["said", verdict, *(["the asked one"] if one == question else [])])
                counts.update([f"right, {kind}"] if verdict == "right" else [])
                if verdict == "right" and one != question:
                    different.add((fact.group, one))
                if verdict != "right" and options.wrong:
                    print(f"  {question} -> {one}")
        how = f"{draws} drawn at temperature {options.temperature}" if draws else "greedy"
        shares = [f"{what} {count / counts['said']:.3f}" for what, count in sorted(counts.items()) if what != "said"]
        of_each = len(different) / len(associations())
        print(f"{how}: {counts['said']} said; {', '.join(shares)}; {of_each:.1f} different right ones a fact")


def wordings_of(fact: Fact, many: dict[str, tuple[str, ...]]) -> list[str]:
    """The questions about a fact."""
    return [wording.format(who=fact.subject) for wording in many[fact.relation]]


if __name__ == "__main__":
    main()
