"""What the edge tells when it cannot do what it was asked."""

from __future__ import annotations

import re
from pathlib import Path

from havre.edge.layout import Layout
from havre.errors import Problem

_TAKEN = re.compile(r"""[\s'"\\#$;:,()\[\]]""")
"""What has a meaning in HAProxy's configuration, certificate lists or commands, of which not all know quotes."""


def unfit(home: Path) -> Problem | None:
    """Why HAProxy could not keep its files in `home`; None when it can."""
    found = _TAKEN.search(str(home))
    if found is None:
        return None
    return Problem(
        summary=f"the edge cannot keep its files in {home}: HAProxy takes no path with {found.group()!r}",
        effect="nothing was changed",
        hint="name another directory with `--state DIR` (or HAVRE_STATE)",
        code="state-directory",
    )


def unknown(instance: str) -> Problem:
    """Somebody asks for an app that was never applied."""
    return Problem(
        summary=f"the edge knows no app `{instance}`",
        hint="deploy it first; `havre server` lists the apps of this server",
        code="edge-unknown-app",
    )


def rejected(instance: str, how: str, complaints: tuple[str, ...]) -> Problem:
    """HAProxy itself does not accept an app's configuration."""
    return Problem(
        summary=f"HAProxy refuses the configuration of `{instance}`{how}",
        evidence=complaints,
        effect="nothing was changed; what serves keeps serving",
        hint="correct the route that the lines above name",
        subject=instance,
        code="edge-rejected",
    )


def not_started(layout: Layout, effect: str) -> Problem:
    """HAProxy did not come up, or kept its old worker."""
    return Problem(
        summary="HAProxy did not take its new configuration",
        evidence=_last_words(layout) or ("it gave no reason",),
        effect=effect,
        hint="correct what the lines above name; `havre edge restart` tries again",
        code="edge-not-started",
    )


def down(layout: Layout, complaints: tuple[str, ...]) -> Problem:
    """HAProxy does not run; `complaints` is what it says of its configuration, nothing when that is accepted."""
    told = tuple(f"configuration: {line}" for line in complaints) or ("its configuration is accepted",)
    return Problem(
        summary="the edge does not run",
        evidence=(*told, *(f"last words: {line}" for line in _last_words(layout))),
        effect="no app of this server is reached",
        hint=f"`havre edge restart` starts it with the routes it had; all it said is in {layout.messages}",
        code="edge-down",
    )


def _last_words(layout: Layout) -> tuple[str, ...]:
    text = layout.messages.read_text(errors="replace") if layout.messages.exists() else ""
    words = [line.split(": ", 1)[-1] for line in text.splitlines()[-40:] if line.startswith("[ALERT]")]
    return tuple(words[-5:])
