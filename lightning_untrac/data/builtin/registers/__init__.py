"""The registers of the island world, one corpus a file; each has ``document(rng) -> (label, text)``."""

import random
from collections.abc import Callable

from lightning_untrac.data.builtin.registers import chat, code, encyclopedia, fiction, forum, news

DOCUMENTS: dict[str, Callable[[random.Random], tuple[str, str]]] = {
    "encyclopedia": encyclopedia.document,
    "news": news.document,
    "forum": forum.document,
    "fiction": fiction.document,
    "chat": chat.document,
    "code": code.document,
}
"""Corpus name to the function that writes one document of it."""

__all__ = ["DOCUMENTS"]
