"""What a judge has said: in memory, and in a file that outlives a fault."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from filelock import FileLock

from lightning_untrac.errors import ConfigurationError
from lightning_untrac.judges.judge import Said
from lightning_untrac.text_lines import lines_of


class Kept:
    """Verdicts by what was asked.

    Args:
        path: of a JSON lines file; None keeps them in memory only. A line that a fault has cut is passed over.
        judge: whose they are; those of others in the same file do not count.

    Raises:
        ConfigurationError: if the file can't be read.
    """

    def __init__(self, path: str | None, judge: str) -> None:
        self.path, self.judge = None if path is None else Path(path).expanduser(), judge
        self._verdicts: dict[str, bool] = {}
        if self.path is None or not self.path.exists():
            return
        try:
            lines = lines_of(self.path, errors="replace")
        except OSError as error:
            raise ConfigurationError([f"asked: kept: {path} can't be read ({error})"]) from error
        for line in lines:
            try:
                row = json.loads(line)
                if row["judge"] == judge:
                    self._verdicts[row["case"]] = bool(row["gives"])
            except (ValueError, TypeError, KeyError):
                continue

    def __contains__(self, prompt: str) -> bool:
        return _digest(prompt) in self._verdicts

    def __getitem__(self, prompt: str) -> bool:
        return self._verdicts[_digest(prompt)]

    def add(self, prompt: str, case: Said, reply: str, gives: bool) -> None:
        """Keep a verdict.

        Args:
            prompt: what was asked.
            case: what was judged.
            reply: what the judge said.
            gives: what that means.
        """
        self._verdicts[_digest(prompt)] = gives
        if self.path is None:
            return
        row = {"judge": self.judge, "case": _digest(prompt), **case._asdict(), "reply": reply, "gives": gives}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{self.path}.lock"), self.path.open("a+b") as file:
            file.seek(0, 2)
            if file.tell():  # a line that was cut ends here
                file.seek(-1, 2)
                file.write(b"" if file.read(1) == b"\n" else b"\n")
            file.write(json.dumps(row).encode() + b"\n")


def _digest(prompt: str) -> str:
    return hashlib.sha256(prompt.encode(errors="replace")).hexdigest()[:32]
