"""What visitors and the certificate authority meet before the edge: DNS, port 80, certificates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from havre.checks.finding import Finding, Rank
from havre.errors import Problem, Severity
from havre.model.diagnosis import CertificateFact, Facts, NameAnswer
from havre.model.server import Listener

ALARM_DAYS = 14.0
CHALLENGE_PORT = 80
"""Where an authority asks for the proof of HTTP-01, whatever port the edge listens on."""


SHOWN = 3


def outside(facts: Facts) -> Iterator[Finding]:
    """DNS first, because a certificate cannot be had while a name leads elsewhere."""
    yield from _names(facts)
    failing = [one for one in facts.certificates if _is_told(one)]
    if any(one.kind == "acme" and one.problem for one in failing) and not facts.app.tls.dns_hook:
        yield from _challenge_port(facts)
    for one in failing:
        yield _certificate(facts, one)


def key_of(host: str) -> str:
    """What a finding about a host name is about: a name that no service can have."""
    return f"name {host}"


def _names(facts: Facts) -> Iterator[Finding]:
    silent = [answer for answer in facts.names.answers if answer.problem == "resolver"]
    if silent:
        yield Finding(problem=_nobody_answers(silent), rank=Rank.UNVERIFIED)
    for answer in facts.names.answers:
        problem = _name(facts, answer)
        if problem is not None:
            yield Finding(problem=problem, rank=Rank.NAME, about=key_of(answer.host))


def _name(facts: Facts, answer: NameAnswer) -> Problem | None:
    own = facts.names.own
    if answer.problem == "no-record":
        return None if set(answer.here) & {*own, "127.0.0.1", "::1"} else _no_record(facts, answer)
    foreign = [address for address in answer.addresses if address not in own]
    if answer.problem or not foreign:
        return None
    if len(foreign) < len(answer.addresses):
        return _also_elsewhere(facts, answer, foreign)
    return _elsewhere(facts, answer) if facts.names.is_certain or _is_failing(facts, answer.host) else None


def _is_failing(facts: Facts, host: str) -> bool:
    return any(one.problem and host in one.hosts for one in facts.certificates)


def _no_record(facts: Facts, answer: NameAnswer) -> Problem:
    others = [other.host for other in facts.names.answers if other.addresses]
    close = get_close_matches(answer.host, others, n=1, cutoff=0.85)
    hint = f"did you mean {close[0]}? correct `host:` in havre.yaml" if close else (
        f"add an A record for {answer.host} that says {_first(facts)} where its DNS is managed"
    )  # fmt: skip
    return Problem(
        summary=f"{answer.host} has no address in DNS",
        subject=facts.instance,
        evidence=(f"DNS: {answer.detail}", *_here(answer), *_last_tries(facts, answer.host)),
        effect="visitors do not find it, and no certificate can be ordered for it",
        hint=hint,
        code="doctor-dns",
        severity=Severity.WARNING,
    )


def _elsewhere(facts: Facts, answer: NameAnswer) -> Problem:
    return Problem(
        summary=f"{answer.host} leads to {', '.join(answer.addresses)}, which is not this server",
        subject=facts.instance,
        evidence=(
            f"this server: {', '.join(facts.names.own[:SHOWN]) or 'no address is known'}",
            *_here(answer),
            *_last_tries(facts, answer.host),
        ),
        effect="visitors reach another server, and no certificate can be ordered here",
        hint=f"change its record to {_first(facts)} where its DNS is managed; if that is a load balancer or "
        f"CDN in front of this server, write `addresses: [{', '.join(answer.addresses)}]` in server.yaml",
        code="doctor-dns",
        severity=Severity.WARNING,
    )


def _also_elsewhere(facts: Facts, answer: NameAnswer, foreign: Sequence[str]) -> Problem:
    return Problem(
        summary=f"{answer.host} leads to this server and also to {', '.join(foreign)}",
        subject=facts.instance,
        evidence=(f"DNS: {', '.join(answer.addresses)}", f"this server: {', '.join(facts.names.own[:SHOWN])}"),
        effect="a part of the visitors, and perhaps the certificate authority, reach another server",
        hint=f"remove the record with {foreign[0]} where its DNS is managed",
        code="doctor-dns",
        severity=Severity.WARNING,
    )


def _nobody_answers(silent: Sequence[NameAnswer]) -> Problem:
    """A note: it says nothing about the app, and the next look may succeed."""
    return Problem(
        summary=f"DNS does not answer: where does {', '.join(answer.host for answer in silent)} lead?",
        subject="server",
        evidence=(silent[0].detail,),
        effect="names cannot be compared with this server, and programs here cannot look names up either",
        hint="`cat /etc/resolv.conf` names the DNS servers of this machine; `resolvers:` in server.yaml asks others",
        code="doctor-resolver",
        severity=Severity.NOTE,
    )


def _challenge_port(facts: Facts) -> Iterator[Finding]:
    """The authority asks at port 80: it must be the edge that answers there."""
    if facts.server is None:
        return
    there = [one for one in facts.server.listeners if one.port == CHALLENGE_PORT and one.protocol == "tcp"]
    if any(one.ours for one in there):
        return
    yield Finding(problem=_port_taken(facts, there), rank=Rank.NAME, about=key_of(f":{CHALLENGE_PORT}"))


def _port_taken(facts: Facts, there: Sequence[Listener]) -> Problem:
    said = f"is held by {there[0]}" if there else "has nobody listening"
    return Problem(
        summary=f"port {CHALLENGE_PORT}, where the certificate authority asks, {said}",
        subject="server",
        evidence=(
            *((f"the edge listens at {facts.edge.entrance}",) if facts.edge.entrance else ()),
            *_last_tries(facts),
        ),
        effect="no certificate can be ordered or renewed by HTTP-01",
        hint="let it pass requests on (`havre export nginx`), or stop it and set `http_port: 80` in server.yaml"
        if there
        else "set `http_port: 80` in server.yaml, then `havre edge restart`",
        code="doctor-challenge-port",
    )


def _is_told(one: CertificateFact) -> bool:
    return one.days_left is None or one.days_left < ALARM_DAYS or bool(one.problem) or bool(_not_covered(one))


def _not_covered(one: CertificateFact) -> tuple[str, ...]:
    """Hosts that the certificate is not for (a wildcard covers one label)."""
    names = set(one.names)
    return tuple(host for host in one.hosts if one.names and not names & {host, f"*.{host.partition('.')[2]}"})


def _certificate(facts: Facts, one: CertificateFact) -> Finding:
    left, missing = one.days_left, _not_covered(one)
    is_over = left is None or left <= 0 or bool(missing)
    said = "does not exist" if left is None else "has expired" if left <= 0 else f"ends in {left:.0f} days"
    summary = f"the certificate of {', '.join(one.hosts)} {said}"
    if missing and left is not None and left > 0:
        summary = f"the certificate shown for {', '.join(missing)} is for {', '.join(one.names)}"
    problem = Problem(
        summary=summary,
        subject=facts.instance,
        evidence=(f"last try: {one.problem}",) if one.problem else (),
        effect="browsers refuse the page" if is_over else "browsers will refuse the page from then on",
        hint="`havre certs --renew --force` orders it now and says why, when that fails"
        if one.kind == "acme"
        else "put the new files where `tls:` in havre.yaml says, then `havre certs --renew`",
        code="doctor-certificate",
        severity=Severity.ERROR if is_over else Severity.WARNING,
    )
    return Finding(problem=problem, rank=Rank.CERTIFICATE, because=_behind(facts, one))


def _behind(facts: Facts, one: CertificateFact) -> str:
    """What keeps the authority from proving the host: its name, else port 80; empty where nothing is known."""
    if one.kind != "acme" or not one.problem:
        return ""
    answers = {answer.host: answer for answer in facts.names.answers}
    wrong = [host for host in one.hosts if host in answers and _name(facts, answers[host]) is not None]
    return key_of(wrong[0] if wrong else f":{CHALLENGE_PORT}")


def _last_tries(facts: Facts, host: str | None = None) -> tuple[str, ...]:
    """What the authority said when the certificate of a host, or of any, was last ordered."""
    told = [one for one in facts.certificates if one.problem and host in {None, *one.hosts}]
    return tuple(f"last try for {one.hosts[0]}: {one.problem}" for one in told[:2])


def _here(answer: NameAnswer) -> tuple[str, ...]:
    return (f"/etc/hosts of this server alone says {', '.join(answer.here)}",) if answer.here else ()


def _first(facts: Facts) -> str:
    return facts.names.own[0] if facts.names.is_certain and facts.names.own else "the public address of this server"
