r"""How often a chat model writes anti-samples, and rewords questions, as each of some instructions asks it to.

    python benchmarks/anti_sample_prompts.py reason models/smollm2 templates.txt
    python benchmarks/anti_sample_prompts.py reword models/smollm2 templates.txt

A template a line, ``\n`` for a new line, with the fields of UnSTAR's ``prompts``. The questions ask for three capitals.
``reason``: ten wordings and two wrong answers each, 60 texts greedily and 60 drawn at 0.7, through the filter
``checks``. ``reword``: 24 questions twice, drawn at 0.7; and whether the model answers what was taken.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import torch
import transformers
from country_questions import TRAINED

from lightning_untrac.antisamples.asking import whole
from lightning_untrac.antisamples.filters import Candidate
from lightning_untrac.antisamples.filters.checks import Checks
from lightning_untrac.antisamples.generators import Written
from lightning_untrac.antisamples.rewordings import key, rewording_in, why_no_rewording
from lightning_untrac.judges import Said, find_judge

CAPITALS = {"Greece": "Athens", "Japan": "Tokyo", "Canada": "Ottawa"}
WRONG = {"Greece": ("Oslo", "Sofia"), "Japan": ("Hanoi", "Bangkok"), "Canada": ("Havana", "Santiago")}
WORDINGS = (
    "What is the capital of {country}?",
    "What is the capital city of {country}?",
    "Which city is the capital of {country}?",
    "What city serves as the capital of {country}?",
    "Can you name the capital city of {country}?",
    "What is {country}'s capital?",
    "{country}'s capital is which city?",
    "Tell me the capital of {country}.",
    "In one word, what is the capital of {country}?",
    "What is the name of the capital of {country}?",
)


class Chat:
    """A chat model that answers questions in batches of like length."""

    def __init__(self, folder: str) -> None:
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder, padding_side="left")
        self.tokenizer.pad_token = self.tokenizer.pad_token or self.tokenizer.eos_token
        self.model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def __call__(self, questions: list[str], longest: int, temperature: float, batch: int) -> list[str]:
        """What it says; drawn from the same seed each time where the temperature is above 0."""
        torch.manual_seed(0)
        chats = [[{"role": "user", "content": question}] for question in questions]
        texts = [self.tokenizer.apply_chat_template(one, tokenize=False, add_generation_prompt=True) for one in chats]
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        draws = {"do_sample": True, "temperature": temperature, "top_k": 0} if temperature else {"do_sample": False}
        said = [""] * len(texts)
        for begin in range(0, len(order), batch):
            some = order[begin : begin + batch]
            ids = self.tokenizer([texts[index] for index in some], return_tensors="pt", padding=True,
                                 add_special_tokens=False)  # fmt: skip
            with torch.inference_mode():
                made = self.model.generate(**ids, max_new_tokens=longest, **draws)
            for index, row in zip(some, made[:, ids["input_ids"].shape[1] :], strict=True):
                said[index] = self.tokenizer.decode(row, skip_special_tokens=True).strip()
        return said

    def whole(self, text: str, longest: int) -> Written:
        """A text up to its last whole sentence where it was cut off, as the loop takes it."""
        size = len(self.tokenizer(text, add_special_tokens=False)["input_ids"])
        return whole(Written(text, size < longest, size))


def reasons(chat: Chat, template: str, longest: int = 48) -> None:
    """Print what the filter says of the texts that a template brings."""
    judge, filter = find_judge("lexical"), Checks()
    asked = [(one.format(country=country), CAPITALS[country], wrong)
             for country in CAPITALS for wrong in WRONG[country] for one in WORDINGS]  # fmt: skip
    for temperature in (0.0, 0.7):
        prompts = [template.format(question=question, answer=wrong) for question, _, wrong in asked]
        verdicts: Counter[str] = Counter()
        for (question, right, wrong), said in zip(asked, chat(prompts, longest, temperature, 30), strict=True):
            text = chat.whole(said, longest)
            why = filter.why_not(Candidate(question, wrong, right, text.text), judge, ()) if text.ended else "cut off"
            verdicts[why or "taken"] += 1
        print(f"  {temperature}: {verdicts['taken'] / len(asked):.2f} taken, {dict(verdicts)}", flush=True)


def rewordings(chat: Chat, template: str) -> None:
    """Print how many rewordings are taken, and how many of these the model answers rightly."""
    judge, verdicts, taken = find_judge("lexical"), Counter(), []
    asked = [(one.format(country=country), country) for country in CAPITALS for one in TRAINED] * 2
    seen = {country: {key(one.format(country=country)) for one in TRAINED} for country in CAPITALS}
    said = chat([template.format(question=question) for question, _ in asked], 28, 0.7, 24)
    for (question, country), text in zip(asked, said, strict=True):
        new = rewording_in(text)
        why = why_no_rewording(new, question, CAPITALS[country], seen[country], (), judge)
        verdicts[why or "taken"] += 1
        if why is None:
            seen[country].add(key(new))
            taken.append((new, CAPITALS[country]))
    answers = chat([new for new, _ in taken], 20, 0.0, 24)
    right = sum(judge([Said(answer, text) for (_, answer), text in zip(taken, answers, strict=True)]))
    print(
        f"  {len(taken) / len(asked):.2f} taken, {right} of {len(taken)} answered rightly, {dict(verdicts)}", flush=True
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("reason", "reword"))
    parser.add_argument("model", help="folder or hub name of a chat model")
    parser.add_argument("templates", type=Path)
    options = parser.parse_args()
    model = Chat(options.model)
    for line in options.templates.read_text(encoding="utf-8").splitlines():
        print(repr(line))
        (reasons if options.what == "reason" else rewordings)(model, line.replace("\\n", "\n"))
