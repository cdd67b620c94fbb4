"""Conversations in a dataset's cells: what counts as one, and one way of writing it whatever it lies in."""

from __future__ import annotations

import json
from typing import Any

ROLES = {"human": "user", "gpt": "assistant", "bot": "assistant", "chatgpt": "assistant"}
"""Names of roles in the ``from`` and ``value`` form, and the usual ones."""


def conversation_text(cell: Any, filled: bool = False) -> str | None:
    """A conversation as one JSON text.

    Args:
        cell: a list of messages, each with ``role`` and ``content`` (or ``from`` and ``value``) and whatever else the
            chat template reads, such as ``tool_calls``; or the same as JSON text. A message's fields that are null are
            left out.
        filled: whether nulls further inside are left out too: a table fills missing fields with them.

    Returns:
        JSON, keys in the order in which they came (templates write tools in it); None for a null cell.

    Raises:
        ValueError: if it is no list of such messages.

    Example:
        >>> conversation_text([{"role": "user", "content": "hi", "name": None}])
        '[{"role": "user", "content": "hi"}]'
        >>> conversation_text('[{"from": "gpt", "value": "hello"}]')
        '[{"role": "assistant", "content": "hello"}]'
    """
    cell = _parsed(cell)
    if cell is None:
        return None
    if not isinstance(cell, list) or not cell:
        raise ValueError(f"holds {_kind(cell)} where a list of messages was expected")
    messages = []
    for number, message in enumerate(cell, start=1):
        if not isinstance(message, dict):
            raise ValueError(f"message {number} is {_kind(message)}; expected `role` and `content`")
        message = _without_nulls(message) if filled else {k: v for k, v in message.items() if v is not None}
        if "role" not in message and "from" in message:
            speaker = message.pop("from")
            content = message.pop("value", "")
            message = {"role": ROLES.get(speaker, speaker), "content": content, **message}
        if not isinstance(message.get("role"), str):
            raise ValueError(f"message {number} has no `role`; there are {', '.join(message) or 'no fields'}")
        messages.append(message)
    return _text(messages)


def tools_text(cell: Any, filled: bool = False) -> str:
    """The tools of a conversation as JSON text; empty where there are none.

    Args:
        cell: a list of JSON schemas, or the same as JSON text.
        filled: see :func:`conversation_text`.

    Raises:
        ValueError: if it is no list of objects.
    """
    cell = _parsed(cell)
    if not cell:
        return ""
    if not isinstance(cell, list) or not all(isinstance(tool, dict) for tool in cell):
        raise ValueError(f"holds {_kind(cell)} where a list of tools was expected")
    return _text(_without_nulls(cell) if filled else cell)


def _parsed(cell: Any) -> Any:
    if not isinstance(cell, str):
        return cell
    try:
        return json.loads(cell) if cell.strip() else None
    except (ValueError, RecursionError) as error:
        raise ValueError("holds text that is not JSON where a list of messages was expected") from error


def _text(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("half of a surrogate pair is no text; write the whole character") from error
    return text


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(part) for key, part in value.items() if part is not None}
    return [_without_nulls(part) for part in value] if isinstance(value, list) else value


def _kind(value: Any) -> str:
    return "an empty list" if value == [] else f"a {type(value).__name__}"
