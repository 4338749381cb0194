"""Keep every app's certificates valid: order what is missing, renew in time, back off after failures, list.

certificates = Certificates(edge)
certificates.renew()          # after a deploy, and daily by the daemon
certificates.listed()         # `havre certs`
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from havre.edge import x509
from havre.edge.acme_orders import Authority
from havre.edge.certificate_files import CertificateFile, Kind, wanted_files
from havre.edge.haproxy import Edge
from havre.edge.state import load_all
from havre.errors import HavreError, Problem
from havre.host import clock
from havre.host.files import write_atomic
from havre.model.route import AppEdge

RENEW_BEFORE = 30 * x509.DAY
_FIRST_PAUSE, _LONGEST_PAUSE = 300.0, x509.DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A certificate an app needs, as it stands; `days_left` is None while there is none."""

    instance: str
    kind: Kind
    hosts: tuple[str, ...]
    path: str
    days_left: float | None = None
    names: tuple[str, ...] = ()
    issuer: str = ""
    problem: str = ""
    next_try: float = 0.0

    def __str__(self) -> str:
        left = "missing" if self.days_left is None else f"{self.days_left:.0f} days left"
        return f"{', '.join(self.hosts)} ({self.kind}, {self.instance}): {left}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewReport:
    """What a round of renewing did."""

    renewed: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attempt:
    failures: int
    next_try: float
    problem: str


class Certificates:
    """The certificates of all apps of one edge."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        directory = edge.layout.certificates
        self._attempts_file = directory / "acme" / "attempts.json"
        self._authority = Authority(
            directory=edge.settings.acme_directory,
            email=edge.settings.acme_email,
            account_file=directory / "acme" / "account.json",
            ca_file=edge.settings.acme_ca_file,
        )

    def listed(self) -> tuple[Certificate, ...]:
        """Every certificate that an applied app calls for, the most urgent first."""
        attempts = self._attempts()
        files = [file for app in self._apps() for file in wanted_files(self._edge.layout, app)]
        found = [self._described(file, attempts) for file in files]
        return tuple(sorted(found, key=lambda one: (one.days_left is not None, one.days_left or 0.0, one.hosts)))

    def renew(self, hosts: Sequence[str] = (), *, instance: str | None = None, force: bool = False) -> RenewReport:
        """Bring what is missing or due up to date, of these hosts or all; one host's failure stops no other.

        Self-signed ones are made anew in time, own ones are read again when their files changed. A host whose order
        failed is left alone until its pause is over; `force` asks for every one again, due or not.
        """
        renewed: list[str] = []
        failed: list[Problem] = []
        for app, file in self._files(instance, hosts):
            try:
                renewed += [file.hosts[0]] if self._is_renewed(app, file, force=force) else []
            except HavreError as error:
                failed += error.problems
        return RenewReport(renewed=tuple(renewed), problems=tuple(failed))

    def _is_renewed(self, app: AppEdge, file: CertificateFile, *, force: bool) -> bool:
        """Renew one when it is due (or asked for); True when another one is shown now."""
        if file.kind == "acme":
            due = force or self._is_due(file)
            if due:
                self._order(app, file)
            return due
        if file.kind == "self-signed" and force:
            self._edge.install_certificate(app.instance, file.hosts, x509.self_signed(file.hosts))
            return True
        return self._edge.refresh_certificate(app.instance)

    def _order(self, app: AppEdge, file: CertificateFile) -> None:
        host = file.hosts[0]
        try:
            self._edge.set_thumbprint(self._authority.thumbprint())
            pem = self._authority.order(file.hosts, dns_hook=app.tls.dns_hook)
            self._edge.install_certificate(app.instance, file.hosts, pem)
        except HavreError as error:
            self._note_failure(host, str(error.problems[0].summary))
            raise
        self._note_success(host)

    def _files(self, instance: str | None, hosts: Sequence[str]) -> Iterator[tuple[AppEdge, CertificateFile]]:
        for app in self._apps():
            for file in wanted_files(self._edge.layout, app) if instance in {None, app.instance} else ():
                if not hosts or set(hosts) & set(file.hosts):
                    yield app, file

    def _is_due(self, file: CertificateFile) -> bool:
        attempt = self._attempts().get(file.hosts[0])
        if attempt is not None and clock.now() < attempt.next_try:
            return False
        if not file.path.exists():
            return True
        contents = x509.read(file.path.read_bytes())
        return clock.now() > contents.not_after - min(RENEW_BEFORE, contents.lifetime / 3)

    def _described(self, file: CertificateFile, attempts: Mapping[str, _Attempt]) -> Certificate:
        attempt = attempts.get(file.hosts[0]) if file.kind == "acme" else None
        contents = x509.read(file.path.read_bytes()) if file.path.exists() else None
        return Certificate(
            instance=file.instance,
            kind=file.kind,
            hosts=file.hosts,
            path=str(file.path),
            days_left=contents.days_left(clock.now()) if contents else None,
            names=contents.names if contents else (),
            issuer=contents.issuer if contents else "",
            problem=attempt.problem if attempt else "",
            next_try=attempt.next_try if attempt else 0.0,
        )

    def _apps(self) -> Iterator[AppEdge]:
        for applied in load_all(self._edge.layout):
            yield applied.app

    def _attempts(self) -> dict[str, _Attempt]:
        if not self._attempts_file.exists():
            return {}
        return msgspec.json.decode(self._attempts_file.read_bytes(), type=dict[str, _Attempt])

    def _note_failure(self, host: str, problem: str) -> None:
        attempts = self._attempts()
        failures = attempts[host].failures + 1 if host in attempts else 1
        pause = min(_FIRST_PAUSE * 2 ** (failures - 1), _LONGEST_PAUSE)
        attempts[host] = _Attempt(failures=failures, next_try=clock.now() + pause, problem=problem)
        _save(self._attempts_file, attempts)

    def _note_success(self, host: str) -> None:
        attempts = self._attempts()
        if attempts.pop(host, None):
            _save(self._attempts_file, attempts)


def _save(path: Path, attempts: Mapping[str, _Attempt]) -> None:
    write_atomic(path, msgspec.json.encode(attempts), mode=0o600)
