"""What a visitor's browser meets first: certificates and their renewal, TLS itself, and nothing in the clear."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from havre.checks.launch.item import Item, Judgement, of_visitors, problem, seen
from havre.checks.launch.scene import Scene
from havre.checks.outside import ALARM_DAYS
from havre.errors import Problem
from havre.model.hostnames import is_local
from havre.model.launch import Automation, Handshake, WebAnswer

HALF_A_YEAR = 180 * 86400
"""Seconds of Strict-Transport-Security below which no tester gives the best grade."""

_WHERE = "where TLS ends (the edge does so by itself; else in the proxy before it)"
_NEW_KEY = "`havre certs --renew --force` orders one with a new key; an own certificate is ordered where it came from"
_LOCATION = "location"
_OLD = frozenset({"SSL 3.0", "TLS 1.0", "TLS 1.1"})


def _certificates(scene: Scene) -> Judgement:
    shown = tuple(_certificate_line(one) for one in scene.handshakes)
    renewal = tuple(f"renewed by {one.place} ({one.schedule})" for one in _renewals(scene))
    problems = [*_bad_certificates(scene.handshakes), *_not_renewing(scene)]
    return seen(*shown, *renewal, problems=problems)


def _certificate_line(one: Handshake) -> str:
    if one.error:
        return f"{one.host}: {one.error}"
    trust = "trusted" if one.trusted else f"not trusted: {one.distrust}"
    return f"{one.host}: for {', '.join(one.names)}, {one.days_left:.0f} days left, {trust}, {one.key}, by {one.issuer}"


def _bad_certificates(handshakes: Iterable[Handshake]) -> Iterator[Problem]:
    for one in handshakes:
        if one.error:
            yield _no_tls(one)
        elif one.days_left < ALARM_DAYS:
            yield problem(
                f"its certificate {'has expired' if one.days_left < 0 else f'ends in {one.days_left:.0f} days'}",
                "`havre certs --renew` orders a new one and says why when it cannot be had",
                subject=one.host,
                effect="browsers refuse the site from then on",
            )
        elif not one.trusted and not is_local(one.host):
            yield problem(
                "browsers do not trust its certificate",
                "write `tls: auto` in havre.yaml, or give the whole chain (`tls: {mode: own}`), then `havre deploy`",
                subject=one.host,
                evidence=(one.distrust, f"issued by {one.issuer}"),
                effect="every visitor sees a warning instead of the site",
            )


def _no_tls(one: Handshake) -> Problem:
    return problem(
        "nothing answers with TLS",
        "`havre doctor` looks at the edge; where another proxy ends TLS, look at that one",
        subject=one.host,
        evidence=(f"{one.place}: {one.error}",),
    )


def _not_renewing(scene: Scene) -> Iterator[Problem]:
    """ACME certificates live for weeks: something must renew them, and the last try must not have failed."""
    certificates = scene.facts.certificates if scene.facts else ()
    for one in certificates:
        if one.problem:
            yield problem(
                "the last attempt to renew its certificate failed",
                "`havre certs --renew --force` tries again at once",
                subject=", ".join(one.hosts),
                evidence=(one.problem,),
            )
    if any(one.kind == "acme" for one in certificates) and not _renewals(scene):
        yield problem(
            "nothing renews the certificates by itself",
            "let cron run `havre certs --renew` every day",
            evidence=("no timer and no cron line runs `havre certs --renew`",),
            effect="they end, at the latest after three months",
        )


def _renewals(scene: Scene) -> list[Automation]:
    return [
        one
        for one in scene.automations
        if one.runs and re.search(r"\bcerts\b.*--renew|\bhavre\b.* serve\b", one.command)
    ]


def _tls_works(scene: Scene) -> Judgement:
    answers = [one for one in scene.answers if one.tls]
    problems = [_no_tls(one) for one in scene.handshakes if one.error]
    for one in scene.handshakes:
        if not one.error and not one.trusted and "name" in one.distrust:
            problems.append(_wrong_name(one))
    dead = [one for one in answers if one.error and one.host not in {each.subject for each in problems}]
    problems += [_no_answer(one) for one in dead]
    shown = tuple(f"{one.url} answers {one.error or one.status}" for one in answers)
    return seen(*shown, problems=problems)


def _wrong_name(one: Handshake) -> Problem:
    return problem(
        f"it is shown the certificate of {', '.join(one.names) or 'nobody'}",
        "`havre certs` lists which certificates are there; `havre deploy` orders what is missing",
        subject=one.host,
        evidence=(one.distrust,),
    )


def _no_answer(one: WebAnswer) -> Problem:
    return problem("no answer", "`havre doctor` says why", subject=one.url, evidence=(one.error,))


def _https_everywhere(scene: Scene) -> Judgement:
    plain = [one for one in scene.answers if not one.tls]
    shown = tuple(_plain_line(one) for one in plain)
    bad = [one for one in plain if not one.error and not _leads_to_https(one)]
    return seen(*shown, problems=[_in_the_clear(one) for one in bad])


def _plain_line(one: WebAnswer) -> str:
    return f"{one.url}: {one.error or f'{one.status} {one.header(_LOCATION)}'.strip()}"


def _leads_to_https(one: WebAnswer) -> bool:
    return one.status in (301, 302, 307, 308) and one.header(_LOCATION).startswith("https://")


def _in_the_clear(one: WebAnswer) -> Problem:
    return problem(
        f"it is answered without TLS ({one.status})",
        "remove `https_redirect: false` from the route, or serve the site with TLS (`tls: auto`)",
        subject=one.url,
        effect="passwords and cookies travel in the clear",
    )


def _tls_quality(scene: Scene) -> Judgement:
    met = [one for one in scene.handshakes if not one.error]
    if not met:
        return Judgement(unseen="nothing answers with TLS, so nothing can be graded")
    shown = tuple(
        f"{one.host}: accepts {', '.join(one.versions) or 'no version'}; weak suites: {', '.join(one.weak) or 'none'};"
        f" {one.key}, {one.signature}; HSTS {_hsts(scene, one.host) / 86400:.0f} days"
        for one in met
    )
    return seen(*shown, problems=[found for one in met for found in _below_the_best(scene, one)])


def _below_the_best(scene: Scene, one: Handshake) -> Iterator[Problem]:
    """What keeps the public testers from their best grade."""
    old = [version for version in one.versions if version in _OLD]
    if old:
        yield problem(f"it still speaks {', '.join(old)}", f"allow TLS 1.2 and 1.3 only {_WHERE}", subject=one.host)
    if one.weak:
        yield problem(
            "it accepts weak cipher suites", f"allow only forward secret AEAD suites {_WHERE}", subject=one.host,
            evidence=one.weak,
        )  # fmt: skip
    if not any(version in one.versions for version in ("TLS 1.2", "TLS 1.3")):
        yield problem("it speaks neither TLS 1.2 nor 1.3", f"allow TLS 1.2 and 1.3 {_WHERE}", subject=one.host)
    kind, _, bits = one.key.partition(" ")
    if bits.isdigit() and int(bits) < {"RSA": 2048, "DSA": 4096}.get(kind, 256):
        yield problem(f"its key is short ({one.key})", _NEW_KEY, subject=one.host)
    if re.search(r"sha1|md5", one.signature, re.IGNORECASE):
        yield problem(f"its certificate is signed with {one.signature}", _NEW_KEY, subject=one.host)
    if _hsts(scene, one.host) < HALF_A_YEAR:
        yield problem(
            "Strict-Transport-Security is missing or shorter than 180 days",
            "take it out of the route's `headers` and of the application: the edge then sends a year",
            subject=one.host,
        )


def _hsts(scene: Scene, host: str) -> int:
    """Seconds that browsers will remember to come with TLS."""
    ages = [
        int(found[1])
        for one in scene.answers
        if one.tls and one.host == host
        and (found := re.search(r"max-age=\"?([0-9]+)", one.header("strict-transport-security")))
    ]  # fmt: skip
    return min(ages, default=0)


ITEMS = (
    Item(
        id="certificates",
        title="certificates are valid and renew by themselves",
        doc=(
            "A real handshake for every host: the names it is for, days left (14 at least), whether this system trusts "
            "the chain, and whether something here renews it."
        ),
        judge=of_visitors(_certificates),
        promised=("C71",),
        looks=("handshakes", "automations"),
    ),
    Item(
        id="tls-works",
        title="every host answers with TLS",
        doc="Each host is asked with TLS, through the edge or the proxy before it.",
        judge=of_visitors(_tls_works),
        promised=("L54", "T37"),
        looks=("handshakes", "answers"),
    ),
    Item(
        id="https-everywhere",
        title="nothing is served in the clear",
        doc="Each route is asked with plain http; it must lead to https.",
        judge=of_visitors(_https_everywhere),
        promised=("S32", "M47", "T37"),
        looks=("answers",),
    ),
    Item(
        id="tls-quality",
        title="TLS is as the best grade of public testers asks",
        doc=(
            "Real handshakes: SSL 3.0 to TLS 1.1 and outdated or not forward secret suites are offered and must be "
            "refused; keys of 2048 bits (RSA) or 256 (EC), no SHA-1, Strict-Transport-Security for 180 days at least."
        ),
        judge=of_visitors(_tls_quality),
        promised=("C78",),
        looks=("handshakes", "answers"),
    ),
)
