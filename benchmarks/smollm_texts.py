"""Texts for ``recipes/trace_smollm.yaml``: real, short, and on every machine that has this package.

    python benchmarks/smollm_texts.py data/smollm

Four corpora (Python source, docstrings, licences, descriptions of packages) and three test sets: new docstrings,
comments in torch's code, and questions about Python's built-in functions with their answers, as a chat. No corpus holds
those answers: they are docstrings of functions that are written in C, and the corpora read Python files.
"""

from __future__ import annotations

import argparse
import builtins
import inspect
import itertools
import json
import math
import operator
import random
import re
import time
from pathlib import Path

from real_text import documents

CORPORA = ("source", "docstrings", "licences", "readmes")
CORPUS_CHARACTERS = 4_000
TEST_EXAMPLES, TEST_CHARACTERS = 8, 180
OWNERS = (str, list, dict, set, bytes, math, itertools, operator, time, builtins)


def answers() -> list[dict[str, str]]:
    """Questions about built-in functions, with the first sentence of their documentation as the answer."""
    found = {}
    for owner in OWNERS:
        for name, value in sorted(vars(owner).items()):
            lines = (inspect.getdoc(value) or "").splitlines()
            sentence = next((line for line in lines if re.fullmatch(r"[A-Z][^()]{20,90}\.", line)), "")
            if sentence and callable(value) and name[0].islower():
                full = name if owner is builtins else f"{owner.__name__}.{name}"
                found.setdefault(sentence, f"What does {full} do in Python?")
    chats = [{"question": question, "answer": sentence} for sentence, question in found.items()]
    random.Random("answers").shuffle(chats)
    return chats


def as_chat(chat: dict[str, str]) -> dict[str, str]:
    """One turn in SmolLM2's template; the ``<|im_start|>`` before it is the BOS, which every example begins with."""
    prompt = f"user\n{chat['question']}<|im_end|>\n<|im_start|>assistant\n"
    return {"prompt": prompt, "target": f"{chat['answer']}<|im_end|>"}


def _write(path: Path, rows: list[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    print(f"{path}: {len(rows)} rows, {sum(len(text) for row in rows for text in row.values()):,} characters")


def write_texts(folder: Path) -> None:
    """Write the corpora and the test sets as JSON lines."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind in CORPORA:
        texts = documents(kind)
        if kind == "docstrings":
            new, texts = texts[:TEST_EXAMPLES], texts[TEST_EXAMPLES:]
            _write(folder / "new_docstrings.jsonl", [{"text": text[:TEST_CHARACTERS]} for text in new])
        sizes = itertools.accumulate(map(len, texts))
        enough = [text for text, size in zip(texts, sizes, strict=True) if size - len(text) < CORPUS_CHARACTERS]
        _write(folder / f"{kind}.jsonl", [{"text": text} for text in enough])
    comments = documents("comments")[:TEST_EXAMPLES]
    _write(folder / "comments.jsonl", [{"text": text[:TEST_CHARACTERS]} for text in comments])
    _write(folder / "answers.jsonl", [as_chat(chat) for chat in answers()[:TEST_EXAMPLES]])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    write_texts(parser.parse_args().folder)
