"""What the edge tells when it cannot do what it was asked."""

from __future__ import annotations

from havre.edge.layout import Layout
from havre.errors import Problem


def unknown(instance: str) -> Problem:
    """Somebody asks for an app that was never applied."""
    return Problem(
        summary=f"the edge knows no app `{instance}`",
        hint="deploy it first; `havre budget` lists the apps of this server",
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
    text = layout.messages.read_text(errors="replace") if layout.messages.exists() else ""
    words = [line.split(": ", 1)[-1] for line in text.splitlines()[-40:] if line.startswith("[ALERT]")]
    return Problem(
        summary="HAProxy did not take its new configuration",
        evidence=tuple(words[-5:]) or ("it gave no reason",),
        effect=effect,
        hint="correct what the lines above name; `havre edge restart` tries again",
        code="edge-not-started",
    )
