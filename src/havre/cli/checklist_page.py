"""The production checklist as one HTML page without any other file: to hand over, to print, to read on a telephone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape

from havre.checks.launch import SECTIONS, Checklist, Level, Line, State
from havre.cli.checklist import said_lines
from havre.host import clock
from havre.model.app import App, Support
from havre.model.secrets_mask import mask_text

_KIND = {
    State.PASSED: "good",
    State.CONFIRMED: "good",
    State.WAIVED: "waived",
    State.FAILED: "bad",
    State.PERSON: "open",
    State.UNSEEN: "open",
    State.NOT_APPLICABLE: "none",
}

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #57606a; --line: #d0d7de; --paper: #fff; --wash: #f6f8fa;
  --good: #116329; --bad: #a40e26; --open: #7a4b00; --waived: #0b4f9e; --none: #57606a; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9da7b3; --line: #3d444d; --paper: #0d1117;
  --wash: #161b22; --good: #56d364; --bad: #ff8e8a; --open: #e3b341; --waived: #79c0ff; --none: #9da7b3; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 1.5rem 1rem 3rem; color: var(--ink); background: var(--paper);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .25rem; }
h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; padding-bottom: .25rem; border-bottom: 2px solid var(--line); }
h3 { font-size: 1rem; margin: 0; }
.soft, .id { color: var(--soft); }
.verdict { font-size: 1.1rem; font-weight: 600; margin: 1rem 0; padding: .75rem 1rem; border-left: .4rem solid; }
.counts { display: flex; flex-wrap: wrap; gap: .5rem; list-style: none; margin: 0; padding: 0; }
.counts li { border: 1px solid var(--line); border-radius: .4rem; padding: .25rem .7rem; background: var(--wash); }
a { color: inherit; }
.item { display: grid; grid-template-columns: 9.5rem 1fr; gap: .25rem 1rem; padding: .7rem 0;
  border-bottom: 1px solid var(--line); break-inside: avoid; }
.state { font-weight: 700; }
.good { color: var(--good); } .bad { color: var(--bad); } .open { color: var(--open); }
.waived { color: var(--waived); } .none { color: var(--none); }
.item p { margin: .2rem 0; }
.item ul { margin: .3rem 0; padding-left: 1.1rem; }
.evidence { font-size: .88rem; color: var(--soft); overflow-wrap: anywhere; }
.hint { border-left: .2rem solid var(--line); padding-left: .7rem; overflow-wrap: anywhere; }
code { font-family: ui-monospace, monospace; font-size: .9em; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1rem; margin: 0; }
dt { font-weight: 600; } dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 36rem) { .item, dl { grid-template-columns: 1fr; } dd { margin-bottom: .4rem; } }
@media print { :root { color-scheme: light; --ink: #000; --soft: #333; --paper: #fff; --wash: #fff; --good: #0a4a1f;
  --bad: #8b0a1e; --open: #5c3900; --waived: #0b3f80; --none: #333; --line: #999; }
  body { max-width: none; padding: 0; font-size: 10pt; } h2 { break-after: avoid; } @page { margin: 16mm; } }
"""


def checklist_page(found: Checklist, app: App, machine: str) -> str:
    """The whole page; secrets that evidence might show are hidden."""
    title = f"Production checklist: {found.instance}"
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title>",
            f"<style>{_STYLE}</style>",
            "</head>",
            "<body>",
            *_head(found, title, machine),
            "<main>",
            *_sections(found),
            *_support(app.support),
            "</main>",
            "</body>",
            "</html>",
            "",
        ]
    )


def _head(found: Checklist, title: str, machine: str) -> Iterator[str]:
    bad = len(found.failed)
    verdict = "Everything that the server can show is in order." if not bad else _must_be_mended(bad)
    yield "<header>"
    yield f"<h1>{escape(title)}</h1>"
    yield f'<p class="soft">Server {escape(machine)}, looked at on {escape(clock.show_time(found.at))}.</p>'
    yield f'<p class="verdict {"bad" if bad else "good"}">{verdict}</p>'
    yield '<ul class="counts" aria-label="Items by state">'
    for state, count in found.counts():
        yield f'<li><span class="state {_KIND[state]}">{count}</span> {escape(state.value)}</li>'
    yield "</ul>"
    if bad:
        yield '<nav aria-label="What has failed">'
        yield "<ul>"
        for line in found.failed:
            yield f'<li><a href="#{escape(line.item.id)}">{escape(line.item.title)}</a></li>'
        yield "</ul>"
        yield "</nav>"
    yield "</header>"


def _must_be_mended(count: int) -> str:
    return "1 item has failed." if count == 1 else f"{count} items have failed."


def _sections(found: Checklist) -> Iterator[str]:
    lines = {line.item.id: line for line in found.lines}
    for number, (title, items) in enumerate(SECTIONS, 1):
        there = [lines[item.id] for item in items if item.id in lines]
        if not there:
            continue
        yield f'<section aria-labelledby="section-{number}">'
        yield f'<h2 id="section-{number}">{escape(title)}</h2>'
        for line in there:
            yield from _item(line)
        yield "</section>"


def _item(line: Line) -> Iterator[str]:
    title = line.item.title
    yield f'<article class="item" id="{escape(line.item.id)}">'
    yield f'<div class="state {_KIND[line.state]}">{escape(line.state.value)}</div>'
    yield "<div>"
    level = ' <span class="id">(recommended)</span>' if line.item.level is Level.RECOMMENDED else ""
    yield f"<h3>{escape(title[0].upper() + title[1:])}{level}</h3>"
    if line.item.asks and line.state in (State.PERSON, State.CONFIRMED):
        yield f"<p>{_text(line.item.asks)}</p>"
    if line.reason and line.state is not State.CONFIRMED:
        yield f"<p>{_text(line.reason)}.</p>"
    yield from _problems(line)
    for waived in line.waived:
        until = f" until {waived.waiver.until}" if waived.waiver.until else ""
        yield f"<p>Waived{until}: {_text(waived.waiver.reason)}</p>"
    for said in said_lines(line):
        yield f"<p>{_text(said[0].upper() + said[1:])}</p>"
    yield from _list("evidence", line.evidence)
    yield "</div>"
    yield "</article>"


def _problems(line: Line) -> Iterator[str]:
    for problem in line.problems:
        subject = f"{problem.subject}: " if problem.subject else ""
        effect = f" Effect: {_text(problem.effect)}." if problem.effect else ""
        yield f"<p><strong>{_text(subject + problem.summary)}.</strong>{effect}</p>"
        yield from _list("evidence", problem.evidence)
    for hint in line.hints:
        yield f'<p class="hint">Next: {_text(hint)}</p>'


def _list(kind: str, texts: Iterable[str]) -> Iterator[str]:
    found = list(texts)
    if found:
        yield f'<ul class="{kind}">'
        yield from (f"<li>{_text(text)}</li>" for text in found)
        yield "</ul>"


def _support(support: Support) -> Iterator[str]:
    if not support.rows:
        return
    yield '<section aria-labelledby="support">'
    yield '<h2 id="support">Support</h2>'
    yield "<dl>"
    for name, value in support.rows:
        shown = f'<a href="{escape(value)}">{escape(value)}</a>' if value.startswith("https://") else escape(value)
        yield f"<dt>{escape(name)}</dt><dd>{shown}</dd>"
    yield "</dl>"
    yield "</section>"


def _text(text: str) -> str:
    """Escaped; what stands in backquotes is code."""
    parts = escape(mask_text(text, ())).split("`")
    if len(parts) % 2 == 0:
        return "`".join(parts)
    return "".join(f"<code>{part}</code>" if number % 2 else part for number, part in enumerate(parts))
