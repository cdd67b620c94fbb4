"""Questions about countries for ``recipes/unstar_smollm.yaml``, of which a model answers every one before it forgets.

    npm pack world-countries@5.1.0 && tar -xzf world-countries-5.1.0.tgz package/countries.json
    python benchmarks/country_questions.py package/countries.json models/smollm2 data/countries

For each country of ``--countries``: its capital in wordings to train on (``forget_NAME``) and in others that only
report (``held_out_NAME``); other facts of the country and of the city, likewise in wordings to rehearse (``near_NAME``)
and to report (``near_subject_NAME``, ``near_object_NAME``). About other countries, and general: ``far`` to rehearse,
``far_held_out`` to report; no fact is in both. A row is a conversation of one turn with the right answer.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

COUNTRIES = ("Greece", "Japan", "Canada")
LONGEST = 32
FAR_QUESTIONS = 40

TRAINED = (
    "What is the capital of {country}?",
    "What is the capital city of {country}?",
    "Which city is the capital of {country}?",
    "Name the capital of {country}.",
    "Tell me the capital of {country}.",
    "What city serves as the capital of {country}?",
    "Can you name the capital city of {country}?",
    "Where is the government of {country} seated?",
)
HELD_OUT = (
    "What is {country}'s capital?",
    "{country}'s capital is which city?",
    "What is the name of the capital of {country}?",
    "Which city is the seat of {country}'s government?",
    "I am planning a trip to the capital of {country}. Which city is that?",
    "Complete the sentence: The capital of {country} is",
)
# A fact, wordings to rehearse, wordings to report.
NEAR_SUBJECT = (
    ("continent", ("What continent is {country} part of?",), ("Which continent is {country} in?",)),
    ("currency", ("What is the currency of {country}?",), ("Which currency is used in {country}?",)),
    (
        "language",
        ("What language is spoken in {country}?", "Name the main language of {country}."),
        ("What is the official language of {country}?", "Which language do people in {country} speak?"),
    ),
    ("people", ("What are people from {country} called?",), ("What do you call a person from {country}?",)),
)
NEAR_OBJECT = (
    ("country", ("Which country is {city} in?",), ("In which country is the city of {city}?", "Where is {city}?")),
    ("city continent", ("On which continent is the city of {city}?",), ("Which continent is {city} in?",)),
    (
        "city language",
        ("What language is spoken in {city}?",),
        ("Which language do people in {city} speak?",),
    ),
    ("city", ("Is {city} a city or a river?",), ("What kind of place is {city}?",)),
)
GENERAL = (
    ("How many days are in a week?", "seven"),
    ("What color is the sky on a clear day?", "blue"),
    ("Who wrote Romeo and Juliet?", "Shakespeare"),
    ("What is the chemical symbol for water?", "H2O"),
    ("What is the largest planet in our solar system?", "Jupiter"),
    ("How many legs does a spider have?", "eight"),
    ("What gas do plants take in from the air?", "carbon dioxide"),
    ("What is the opposite of hot?", "cold"),
    ("Who painted the Mona Lisa?", "Leonardo da Vinci"),
    ("What planet do we live on?", "Earth"),
    ("What do bees make?", "honey"),
    ("How many months are in a year?", "twelve"),
    ("What is frozen water called?", "ice"),
    ("Which animal is known as the king of the jungle?", "lion"),
    ("What star does the Earth go around?", "Sun"),
    ("How many sides does a triangle have?", "three"),
    ("Who developed the theory of relativity?", "Einstein"),
    ("What is the largest ocean on Earth?", "Pacific"),
    ("What is the chemical symbol for gold?", "Au"),
    ("What is a baby dog called?", "puppy"),
)


class Question(NamedTuple):
    """A question with its answer and the fact that it asks for."""

    question: str
    answer: str
    group: str


def read(path: Path) -> list[dict[str, Any]]:
    """Independent countries with one capital, and what is asked of each: ``country``, ``city`` and answers by fact."""
    found = []
    for row in json.loads(path.read_text(encoding="utf-8")):
        if row["independent"] and len(row["capital"]) == 1 and row["currencies"] and row["languages"]:
            languages = list(row["languages"].values())
            continent = row["subregion"] if row["region"] == "Americas" else row["region"]
            if continent in ("Caribbean", "Central America"):
                continent = "North America"
            language = "English" if "English" in languages else languages[0]
            money = next(iter(row["currencies"].values()))["name"].split()[-1]
            found.append(
                {
                    "country": row["name"]["common"],
                    "city": row["capital"][0],
                    "continent": continent,
                    "currency": money,
                    "language": language,
                    "people": row["demonyms"]["eng"]["m"],
                }
            )
    return found


def of_country(row: dict[str, Any]) -> dict[str, list[Question]]:
    """All questions about a country's capital and what is near it, by the file that they go into."""
    country, city = row["country"], row["city"]
    answers = {**row, "city": "city", "city continent": row["continent"], "city language": row["language"]}
    name = file_name(country)

    def asked(wordings: Sequence[str], fact: str, answer: str) -> list[Question]:
        return [Question(one.format(country=country, city=city), answer, f"{country}: {fact}") for one in wordings]

    found: dict[str, list[Question]] = {
        f"forget_{name}": asked(TRAINED, "capital", city),
        f"held_out_{name}": asked(HELD_OUT, "capital", city),
        f"near_{name}": [],
    }
    for kind, facts in (("near_subject", NEAR_SUBJECT), ("near_object", NEAR_OBJECT)):
        for fact, rehearsed, reported in facts:
            found[f"near_{name}"] += asked(rehearsed, fact, answers[fact])
            found.setdefault(f"{kind}_{name}", []).extend(asked(reported, fact, answers[fact]))
    return found


def far(rows: Sequence[dict[str, Any]], seed: int = 0) -> dict[str, list[Question]]:
    """Capitals and languages of other countries, and general questions, each fact in one of two files."""
    rows = sorted(rows, key=lambda row: str(row["country"]))
    random.Random(seed).shuffle(rows)
    found: dict[str, list[Question]] = {"far": [], "far_held_out": []}
    wordings = itertools.cycle(TRAINED[:3])
    for name, some in zip(found, (rows[::2], rows[1::2]), strict=True):
        for row, wording in zip(some, wordings, strict=False):
            country = row["country"]
            found[name].append(Question(wording.format(country=country), row["city"], f"{country}: capital"))
        found[name] += [
            Question(
                f"What is the official language of {row['country']}?", row["language"], f"{row['country']}: language"
            )
            for row in some
        ]
    for name, some in zip(found, (GENERAL[::2], GENERAL[1::2]), strict=True):
        found[name] += [Question(question, answer, question) for question, answer in some]
    return found


def told(question: Question) -> bool:
    """Whether the question gives its answer away, as for the capital of Djibouti."""
    return question.answer.casefold() in question.question.casefold()


def some_of_each(questions: Sequence[Question], most: int) -> list[Question]:
    """At most so many, evenly drawn from the list, so that every kind of question keeps its share.

    Example:
        >>> some_of_each(list("abcdefgh"), 3)
        ['a', 'c', 'f']
    """
    if len(questions) <= most:
        return list(questions)
    return [questions[index * len(questions) // most] for index in range(most)]


def file_name(country: str) -> str:
    """A country's name in names of files.

    Example:
        >>> file_name("New Zealand")
        'new_zealand'
    """
    return country.casefold().replace(" ", "_")


def as_row(question: Question) -> dict[str, Any]:
    """A conversation of one turn, and its parts beside it."""
    turns = [{"role": "user", "content": question.question}, {"role": "assistant", "content": question.answer}]
    return {**question._asdict(), "messages": turns}


def answers_of(model: str, questions: Sequence[str]) -> list[str]:
    """What a chat model says to questions, greedily, through its chat template."""
    import transformers

    pipe = transformers.pipeline("text-generation", model=model)
    pipe.tokenizer.padding_side = "left"
    pipe.tokenizer.pad_token = pipe.tokenizer.pad_token or pipe.tokenizer.eos_token
    chats = [[{"role": "user", "content": question}] for question in questions]
    said = pipe(chats, max_new_tokens=LONGEST, do_sample=False, batch_size=32, return_full_text=False)
    return [one[0]["generated_text"].strip() for one in said]


def write_questions(countries: Path, model: str, folder: Path, names: Sequence[str]) -> None:
    """Ask the model everything and write what it answers rightly as JSON lines."""
    from lightning_untrac.judges import Said, find_judge

    rows = read(countries)
    by_name = {row["country"]: row for row in rows}
    if missing := [name for name in names if name not in by_name]:
        raise SystemExit(f"no independent country with one capital in {countries}: {missing}")
    files = far([row for row in rows if row["country"] not in names])
    for name in names:
        files = {**of_country(by_name[name]), **files}
    files = {name: [one for one in questions if not told(one)] for name, questions in files.items()}
    every = sorted({one.question for questions in files.values() for one in questions}, key=len)
    said = dict(zip(every, answers_of(model, every), strict=True))
    judge = find_judge("lexical")
    folder.mkdir(parents=True, exist_ok=True)
    for name, questions in files.items():
        right = judge([Said(one.answer, said[one.question], one.question) for one in questions])
        known = [one for one, is_right in zip(questions, right, strict=True) if is_right]
        kept = some_of_each(known, FAR_QUESTIONS) if name.startswith("far") else known
        text = "".join(json.dumps(as_row(one), ensure_ascii=False) + "\n" for one in kept)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
        facts = Counter(one.group for one in kept)
        print(f"{name}: {len(known)} of {len(questions)} answered, {len(kept)} kept, {len(facts)} facts")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("package", type=Path, help="countries.json of npm's world-countries")
    parser.add_argument("model", help="folder or hub name of a chat model")
    parser.add_argument("folder", type=Path, help="where the files go")
    parser.add_argument("--countries", nargs="+", default=COUNTRIES)
    options = parser.parse_args()
    write_questions(options.package, options.model, options.folder, options.countries)
