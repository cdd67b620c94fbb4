"""How results are written and coloured: number formats, names of methods, palettes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

MINUS: Final = "\u2212"

#: Okabe and Ito's palette with brown for yellow, which vanishes on white; told apart with every colour vision.
PALETTE: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#44403c", "#8a5a2b")
GREY: Final = "#a8a29e"
INK: Final = "#1c1917"
MUTED: Final = "#78716c"
#: Of subtitles, which must be read.
SUBTITLE: Final = "#57534e"
#: From "the corpus works against the test set" over nothing to "it helps"; blue and red-brown, safe for all.
DIVERGING: Final = ("#2b6ca3", "#8dbbdc", "#f5f3f0", "#f0a583", "#b5402a")


def unit_title(unit: str) -> str:
    """A unit in words.

    >>> unit_title("nats/token")
    'nats per token'
    """
    return unit.replace("nats/token", "nats per token")


def with_unit(title: str, unit: str) -> str:
    """A title with its unit, where it has one.

    >>> with_unit("Loss", "nats/token"), with_unit("Rank", "")
    ('Loss (nats per token)', 'Rank')
    """
    return f"{title} ({unit_title(unit)})" if unit else title


def shorten(name: str, width: int = 26) -> str:
    """Cut a long name in its middle: the ends are what tells names apart.

    >>> shorten("a-very-long-name-of-a-corpus-v2", 16)
    'a-very-l…rpus-v2'
    """
    if len(name) <= width:
        return name
    tail = (width - 1) // 2
    return f"{name[: width - 1 - tail]}…{name[-tail:]}"


def _common_prefix(names: Sequence[str]) -> str:
    for i, letters in enumerate(zip(*names, strict=False)):
        if len(set(letters)) > 1:
            return names[0][:i]
    return min(names, key=len)


def shorten_all(names: Sequence[str], width: int = 26) -> dict[str, str]:
    """Cut long names so that they stay different from each other.

    Args:
        names: Names that stand beside each other.
        width: Longest length.

    Returns:
        What to write for each name. Names that would look alike keep the part in which they differ; where that is too
        long as well, they are numbered.

    >>> list(shorten_all(["the-web-part-1-of-2-cleaned", "the-web-part-2-of-2-cleaned"], 14).values())
    ['the-w…1…eaned', 'the-w…2…eaned']
    """
    short = {name: shorten(name, width) for name in names}
    for alike in _alike(short):
        prefix = _common_prefix(alike)
        suffix = _common_prefix([name[len(prefix) :][::-1] for name in alike])[::-1]
        for name in alike:
            middle = name[len(prefix) : len(name) - len(suffix)]
            room = max(2, width - len(middle) - 3)
            head, tail = prefix[: room // 2], suffix[len(suffix) - min(len(suffix), room // 2) :]
            short[name] = f"{head}…{middle}…{tail}" if suffix else f"{head}…{middle}"
    for name in [name for name, text in short.items() if len(text) > width and text != name]:
        short[name] = shorten(short[name], width)
    taken = {text for text in short.values() if list(short.values()).count(text) == 1} if _alike(short) else set()
    for alike in _alike(short):
        number = 0
        for name in alike:
            while True:
                number += 1
                mark = f"…{number}"
                text = name[: max(0, width - len(mark))] + mark
                if text not in taken:
                    break
            taken.add(text)
            short[name] = text
    return short


def _alike(short: Mapping[str, str]) -> list[list[str]]:
    """Names that are written the same."""
    groups: dict[str, list[str]] = {}
    for name, text in short.items():
        groups.setdefault(text, []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def format_number(value: float | None, scale: float | None = None, *, signed: bool = True) -> str:
    """Write a number with about three digits, as many decimals as others of its size get.

    Args:
        value: The number; ``None`` and NaN become a dash.
        scale: Size of the largest number that it stands beside; its own if ``None``.
        signed: Whether positive numbers get a plus sign.

    Returns:
        Text with a true minus sign.

    >>> format_number(0.12345), format_number(0.004, scale=2.5), format_number(123456.0, signed=False)
    ('+0.123', '+0.00', '1.23e5')
    """
    if value is None or math.isnan(value):
        return "\u2013"
    sign = MINUS if value < 0 else "+" if signed and value > 0 else ""
    size = abs(value)
    if math.isinf(size):
        return f"{sign}∞"
    if size == 0:
        return "0"
    top = max(size, abs(scale)) if scale is not None and math.isfinite(scale) else size
    if top >= 1e5 or top < 1e-3:
        mantissa, exponent = f"{size:.2e}".split("e")
        return f"{sign}{mantissa}e{int(exponent)}".replace("e-", f"e{MINUS}")
    decimals = min(4, max(0, 2 - math.floor(math.log10(top))))
    text = f"{size:.{decimals}f}"
    return f"{sign}{text}"


def scale_of(values: Iterable[float]) -> float:
    """Size of the largest finite value; 0 if there is none.

    >>> scale_of([-2.0, 1.0, float("nan")])
    2.0
    """
    return max((abs(v) for v in values if math.isfinite(v)), default=0.0)


def perplexity_change(nats: float) -> str:
    """A change of the loss in nats per token, said as a change of the perplexity.

    >>> perplexity_change(0.12), perplexity_change(3.0), perplexity_change(-0.5), perplexity_change(2000.0)
    ('13% higher', '20.1 times as high', '39% lower', 'beyond all measure')
    """
    if nats > 50:
        return "beyond all measure"
    factor = math.exp(nats)
    if factor >= 3:
        return f"{factor:.3g} times as high" if factor < 1e4 else f"{factor:.0e} times as high".replace("e+0", "e")
    percent = abs(factor - 1) * 100
    digits = 0 if percent >= 10 else 1 if percent >= 1 else 2
    return f"{percent:.{digits}f}% {'higher' if factor >= 1 else 'lower'}"
