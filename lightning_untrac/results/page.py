"""The look of a report: one HTML page that loads nothing, in light, dark and print."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from lightning_untrac.results.sentence import Link, Name, Sentence

_STYLE: Final = """
:root { color-scheme: light dark; --bg: #fdfcfb; --card: #fff; --ink: #1c1917; --muted: #6f6862; --line: #e7e2dd;
  --accent: #b5402a; --soft: #f6f3f0; --hot: 181, 64, 42; --cold: 43, 108, 163; }
@media (prefers-color-scheme: dark) { :root { --bg: #171412; --card: #211d1a; --ink: #f0ebe6; --muted: #a39a92;
  --line: #3a342f; --accent: #f0906f; --soft: #2a2521; --hot: 226, 98, 68; --cold: 84, 152, 212; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--bg); color: var(--ink); line-height: 1.55;
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 66rem; margin: 0 auto; padding: 3rem 1.5rem 5rem; }
h1 { font-size: 1.9rem; line-height: 1.2; letter-spacing: -0.015em; margin: 0 0 .35rem; }
h2 { font-size: 1.25rem; letter-spacing: -0.01em; margin: 3.2rem 0 .8rem; padding-top: 1.1rem;
  border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.8rem 0 .6rem; }
p, li { max-width: 46rem; }
a { color: inherit; }
nav { margin: 1rem 0 0; font-size: .875rem; color: var(--muted); }
nav a { margin-right: 1.1rem; text-decoration: none; border-bottom: 1px solid var(--line); white-space: nowrap; }
.muted { color: var(--muted); } .small { font-size: .875rem; }
code, pre { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace; }
code { font-size: .92em; background: var(--soft); border-radius: 4px; padding: .08em .35em; overflow-wrap: anywhere; }
pre { background: var(--soft); border-radius: 8px; padding: .9rem 1.1rem; overflow-x: auto; font-size: .8125rem;
  line-height: 1.5; white-space: pre-wrap; overflow-wrap: anywhere; }
.answers { list-style: none; margin: 1.6rem 0 0; padding: 0; }
.answers li { max-width: none; background: var(--card); border: 1px solid var(--line);
  border-left: 4px solid var(--accent); border-radius: 8px; padding: .85rem 1.15rem; margin: 0 0 .7rem;
  font-size: 1.075rem; }
.answers .because { margin: .45rem 0 0; padding-left: 1.1rem; list-style: disc; color: var(--muted); }
.answers .because li { background: none; border: 0; padding: 0; margin: .2rem 0; font-size: .9rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; min-width: 50%; }
th { text-align: left; font-weight: 600; color: var(--muted); font-size: .8125rem; }
th, td { padding: .42rem .65rem; border-bottom: 1px solid var(--line); vertical-align: middle; }
td.n, th.n { text-align: right; white-space: nowrap; }
tr.total td { font-weight: 600; border-bottom-color: var(--muted); }
table.dense { font-size: .82rem; } table.dense th { font-size: .78rem; }
table.dense th, table.dense td { padding: .26rem .5rem; } table.dense td { white-space: nowrap; }
table.dense td.group { white-space: normal; min-width: 8rem; }
table.dense td.aim { white-space: normal; min-width: 4.5rem; font-size: .78rem; color: var(--muted);
  vertical-align: top; }
td.like { background: rgba(0, 158, 115, .13); }
td.group { min-width: 9.5rem; font-weight: 600; vertical-align: top; } td.group .muted { font-weight: 400; }
table.matrix { border-collapse: separate; border-spacing: 3px; min-width: 0; }
table.matrix th, table.matrix td { border: 0; border-radius: 5px; }
table.matrix td { text-align: center; width: 9.5rem; min-width: 6.5rem; }
table.matrix thead td { width: auto; min-width: 0; }
table.matrix thead th { text-align: center; color: var(--ink); overflow-wrap: anywhere; max-width: 14rem; }
table.matrix tbody th { color: var(--ink); font-weight: 500; text-align: right; overflow-wrap: anywhere;
  max-width: 18rem; }
td.best { font-weight: 700; outline: 2px solid var(--ink); outline-offset: -2px; }
td.flag { color: var(--muted); background: repeating-linear-gradient(-45deg, transparent 0 5px, var(--soft) 5px 9px); }
td .tag { display: block; font-size: .7rem; font-weight: 400; }
.bar { position: relative; width: 8rem; height: 1rem; background:
  linear-gradient(var(--line), var(--line)) 50% 0 / 1px 100% no-repeat; border-inline: 1px solid var(--line); }
.bar i { position: absolute; top: .4rem; height: .2rem; border-radius: 2px; background: var(--muted); }
.bar b { position: absolute; top: .22rem; width: .56rem; height: .56rem; margin-left: -.28rem; border-radius: 50%;
  background: var(--accent); }
figure { margin: 1.2rem 0; background: #fff; border: 1px solid var(--line); border-radius: 10px; padding: .6rem; }
figure img { display: block; max-width: 100%; height: auto; margin: 0 auto; }
.notes { list-style: none; padding: 0; margin: 0; }
.notes li { padding: .35rem 0 .35rem 5.6rem; position: relative; max-width: 54rem; }
.level { position: absolute; left: 0; top: .55rem; font-size: .69rem; font-weight: 700; letter-spacing: .05em;
  text-transform: uppercase; border-radius: 4px; padding: .08rem .45rem; background: var(--soft); color: var(--muted); }
.level.error { background: #b91c1c; color: #fff; } .level.warning { background: #f2c14e; color: #3b2a00; }
.unfinished { font-size: .8rem; font-weight: 400; color: var(--accent); }
.texts h4 { margin: 1rem 0 .2rem; font-size: .875rem; } .texts ul { margin: 0; padding-left: 1.2rem; }
.texts li { max-width: 60rem; font-size: .875rem; overflow-wrap: anywhere; white-space: pre-wrap; }
table.story { width: 100%; } table.story td { vertical-align: top; min-width: 7.5rem; overflow-wrap: anywhere; }
table.story td p { margin: 0 0 .45rem; } table.story .tag { color: var(--muted); } table.story .tag.known {
  color: var(--accent); font-weight: 600; }
.lists { columns: 22rem; } .lists details { margin: .15rem 0; break-inside: avoid; }
details { margin: .6rem 0; } summary { cursor: pointer; font-weight: 600; }
@media print { body { font-size: 12px; background: #fff; } main { max-width: none; padding: 0; } nav { display: none; }
  figure, .answers li, tr { break-inside: avoid; } h2, h3 { break-after: avoid; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""


def escape(text: object) -> str:
    """Any value as text that is safe between tags and inside attributes.

    >>> escape('<b title="x">')
    '&lt;b title=&quot;x&quot;&gt;'
    """
    return html.escape(str(text), quote=True)


def sentence_html(sentence: Sentence) -> str:
    """A sentence with its names set apart, and its links."""
    parts = []
    for part in sentence:
        if isinstance(part, Name):
            parts.append(f"<code>{escape(part.text)}</code>")
        elif isinstance(part, Link):
            parts.append(f'<a href="#{escape(part.anchor)}">{escape(part.text)}</a>')
        else:
            parts.append(escape(part))
    return "".join(parts)


def table_html(
    head: Sequence[str], rows: Iterable[Sequence[object]], numbers: Iterable[int] = (), style: str = ""
) -> str:
    """A plain table.

    Args:
        head: Names of the columns.
        rows: Cells; all of them are escaped.
        numbers: Indices of the columns that are set flush right.
        style: ``dense`` for a table of many columns.

    Returns:
        The markup.
    """
    right = set(numbers)

    def cells(values: Sequence[object], tag: str) -> str:
        return "".join(
            f'<{tag} class="n">{escape(v)}</{tag}>' if i in right else f"<{tag}>{escape(v)}</{tag}>"
            for i, v in enumerate(values)
        )

    body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    kind = f' class="{style}"' if style else ""
    top = f"<thead><tr>{cells(head, 'th')}</tr></thead>"
    return f'<div class="scroll"><table{kind}>{top}<tbody>{body}</tbody></table></div>'


def picture_html(path: Path, alt: str) -> str:
    """A PNG inside the page."""
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<figure><img alt="{escape(alt)}" src="data:image/png;base64,{data}"></figure>'


def page_html(title: str, lead: str, sections: Sequence[tuple[str, str, str]]) -> str:
    """The whole page.

    Args:
        title: Title of the run.
        lead: Markup below the title, before the first section.
        sections: Triples of anchor, heading and markup; those with empty markup are left out.

    Returns:
        An HTML document that forbids itself to load or run anything.
    """
    shown = [section for section in sections if section[2]]
    links = " ".join(f'<a href="#{anchor}">{escape(heading)}</a>' for anchor, heading, _ in shown)
    body = "".join(
        f'<section id="{anchor}"><h2>{escape(heading)}</h2>{markup}</section>' for anchor, heading, markup in shown
    )
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><main><h1>{escape(title)}</h1>{lead}<nav>{links}</nav>{body}</main></body></html>\n"
    )
