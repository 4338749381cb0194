"""Everything the judgements of the checklist may look at, gathered at one moment."""

from __future__ import annotations

from dataclasses import dataclass, field

from havre.checks.case import Case
from havre.checks.report import Report
from havre.errors import Problem
from havre.model.diagnosis import Facts
from havre.model.launch import (
    AppliedPolicy,
    Automation,
    Burst,
    Confirmation,
    Database,
    Firewall,
    Handshake,
    Inside,
    Kept,
    Login,
    Neighbour,
    Operators,
    Page,
    Startup,
    Trail,
    Watcher,
    WayBack,
    WebAnswer,
)
from havre.model.route import EdgeSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """The files as they are now, what serves, and what the server just answered.

    The fields below `findings` are the looks: only those that the wanted items need are taken. `unseen` says of a look
    that failed why; its items cannot be judged then.
    """

    case: Case
    report: Report
    today: str
    now: float
    facts: Facts | None = None
    """None while nothing was deployed."""
    findings: tuple[Problem, ...] = ()
    edge: EdgeSettings = field(default_factory=EdgeSettings)
    confirmations: tuple[Confirmation, ...] = ()
    passed: tuple[tuple[str, float], ...] = ()
    """(item, when it last passed)."""
    unseen: tuple[tuple[str, str], ...] = ()

    handshakes: tuple[Handshake, ...] = ()
    answers: tuple[WebAnswer, ...] = ()
    promises: tuple[str, ...] = ()
    """How the answers to `release.verify` differ from what was promised."""
    origins: tuple[WebAnswer, ...] = ()
    """Answers to a foreign Origin."""
    bursts: tuple[Burst, ...] = ()
    reached: tuple[str, ...] = ()
    """Hosts whose address in DNS is not one of ours and shows our certificate all the same: we are behind it."""
    firewall: Firewall = field(default_factory=Firewall)
    automations: tuple[Automation, ...] = ()
    startup: Startup = field(default_factory=Startup)
    operators: Operators = field(default_factory=Operators)
    policies: tuple[AppliedPolicy, ...] = ()
    inside: tuple[Inside, ...] = ()
    databases: tuple[Database, ...] = ()
    kept: tuple[Kept, ...] = ()
    escrowed: bool = False
    """Whether a person has the backups' key outside this server."""
    way_back: WayBack | None = None
    trail: Trail = field(default_factory=Trail)
    watchers: tuple[Watcher, ...] = ()
    sealed: tuple[tuple[str, str, float], ...] = ()
    """(name, origin, when its value was last changed) of every secret in the sealed store."""
    logins: tuple[Login, ...] = ()
    neighbours: tuple[Neighbour, ...] = ()
    pages: tuple[Page, ...] = ()

    def why_unseen(self, look: str) -> str:
        """Why a look failed; empty when it did not."""
        return dict(self.unseen).get(look, "")

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts the app answers for, each once."""
        return tuple(dict.fromkeys(route.host for route in self.case.app.routes))
