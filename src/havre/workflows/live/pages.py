"""Looks whether the places that `support` names are there: an address is asked, a path is looked for."""

from __future__ import annotations

import http.client
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from havre.model.app import App, Verification
from havre.model.launch import Page
from havre.workflows.verify import Target, ask

PATIENCE = 8.0
KEYS = ("documentation", "runbook", "status_page")
_PORTS = {"http": 80, "https": 443}
_PATH = re.compile(r"[^\s:]*(?:/|\.[a-z]{2,4}$)[^\s:]*")
"""`/srv/shop/docs`, `docs/incidents.md`, `RUNBOOK.md`; not `the team's wiki`."""

_BEHIND_A_LOGIN = (401, 403)


def look_at_pages(app: App) -> Iterator[Page]:
    """The documentation, the runbook and the status page, as far as the manifest names them."""
    for key in KEYS:
        place = getattr(app.support, key)
        if place:
            yield Page(key=key, place=place, problem=_problem(place, Path(app.directory)))


def _problem(place: str, directory: Path) -> str:
    """Why it cannot be found; words that are neither an address nor a path are a person's to judge."""
    parts = urlsplit(place)
    if parts.scheme in _PORTS and parts.hostname:
        return _asked(parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme], parts.path or "/")
    if _PATH.fullmatch(place):
        return "" if (directory / place).exists() else f"there is no {directory / place} on this server"
    return ""


def _asked(scheme: str, host: str, port: int, path: str) -> str:
    try:
        target = Target(address=socket.gethostbyname(host), port=port, tls=scheme == "https")
        status = ask(Verification(path=path, timeout=PATIENCE), target, host).status
    except (OSError, http.client.HTTPException) as error:
        return f"no answer: {error}"
    return "" if status < 400 or status in _BEHIND_A_LOGIN else f"it answers {status}"
