"""What a visitor meets: certificates, TLS, https everywhere, headers, foreign origins, limits, and right answers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from havre.checks.launch.item import Item, Judgement, Level, beside_the_point, only_a_person, problem, seen
from havre.checks.launch.scene import Scene
from havre.checks.outside import ALARM_DAYS
from havre.errors import Problem
from havre.model.launch import Automation, Handshake, WebAnswer
from havre.model.route import Route

HALF_A_YEAR = 180 * 86400
"""Seconds of Strict-Transport-Security below which no tester gives the best grade."""

LOCAL = re.compile(r"(?:^|\.)(?:localhost|local|test|internal|invalid|lan)$")
"""Names that no public authority gives certificates for, and no public DNS answers."""

_NO_ROUTES = "the app has no routes: no browser reaches it"
_LOCATION = "location"
_OLD = frozenset({"SSL 3.0", "TLS 1.0", "TLS 1.1"})


def is_local(host: str) -> bool:
    """Whether a name only means something on this machine or in this network."""
    return bool(LOCAL.search(host)) or "." not in host


def _certificates(scene: Scene) -> Judgement:
    if not scene.hosts:
        return beside_the_point(_NO_ROUTES)
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
    if not scene.hosts:
        return beside_the_point(_NO_ROUTES)
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
    if not scene.hosts:
        return beside_the_point(_NO_ROUTES)
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


_HEADERS = {
    "strict-transport-security": "Strict-Transport-Security",
    "x-content-type-options": "X-Content-Type-Options: nosniff",
    "x-frame-options": "X-Frame-Options (or frame-ancestors in a Content-Security-Policy)",
    "referrer-policy": "Referrer-Policy",
}


def _headers(scene: Scene) -> Judgement:
    answers = [one for one in scene.answers if one.tls and not one.error]
    if not scene.hosts:
        return beside_the_point(_NO_ROUTES)
    if not answers:
        return Judgement(unseen="no host answered with TLS")
    return seen(*(_header_line(one) for one in answers), problems=[p for one in answers for p in _missing_headers(one)])


def _header_line(one: WebAnswer) -> str:
    there = [f"{name}: {one.header(name)}" for name in (*_HEADERS, "content-security-policy") if one.header(name)]
    return f"{one.url}: {'; '.join(there) or 'none of them'}"


def _missing_headers(one: WebAnswer) -> Iterator[Problem]:
    framed = "frame-ancestors" in one.header("content-security-policy")
    missing = [
        shown for name, shown in _HEADERS.items() if not one.header(name) and not (name == "x-frame-options" and framed)
    ]
    if missing:
        yield problem(
            f"the answer lacks {', '.join(missing)}",
            "do not remove them in the route's `headers`, nor in the application",
            subject=one.url,
        )
    if one.header("x-content-type-options") not in ("", "nosniff"):
        found = one.header("x-content-type-options")
        yield problem(f"X-Content-Type-Options is `{found}`", "it must be `nosniff`", subject=one.url)


def _tls_quality(scene: Scene) -> Judgement:
    if not scene.hosts:
        return beside_the_point(_NO_ROUTES)
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
        yield problem(f"it still speaks {', '.join(old)}", "allow TLS 1.2 and 1.3 only", subject=one.host)
    if one.weak:
        yield problem("it accepts weak cipher suites", "allow only forward secret AEAD suites", subject=one.host,
                      evidence=one.weak)  # fmt: skip
    if not any(version in one.versions for version in ("TLS 1.2", "TLS 1.3")):
        yield problem("it speaks neither TLS 1.2 nor 1.3", "allow TLS 1.2 and 1.3", subject=one.host)
    kind, _, bits = one.key.partition(" ")
    if bits.isdigit() and int(bits) < {"RSA": 2048, "DSA": 4096}.get(kind, 256):
        yield problem(f"its key is short ({one.key})", "order a certificate for a new key", subject=one.host)
    if re.search(r"sha1|md5", one.signature, re.IGNORECASE):
        yield problem(f"its certificate is signed with {one.signature}", "order a new certificate", subject=one.host)
    if _hsts(scene, one.host) < HALF_A_YEAR:
        yield problem(
            "Strict-Transport-Security is missing or shorter than 180 days",
            "leave that header to the edge, or set `max-age=31536000`",
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


def _cors(scene: Scene) -> Judgement:
    answered = [one for one in scene.origins if not one.error]
    if not scene.hosts:
        return beside_the_point(_NO_ROUTES)
    if not answered:
        return Judgement(unseen="no route answered")
    shown = tuple(_origin_line(one) for one in answered)
    return seen(*shown, problems=[found for one in answered for found in _too_open(one)])


def _origin_line(one: WebAnswer) -> str:
    allowed = one.header("access-control-allow-origin") or "nobody"
    return f"{one.url}: asked by a page of {FOREIGN_ORIGIN}; allowed: {allowed}"


FOREIGN_ORIGIN = "https://havre-probe.invalid"
"""An origin that cannot exist: whoever allows it allows everybody."""


def _too_open(one: WebAnswer) -> Iterator[Problem]:
    allowed = one.header("access-control-allow-origin")
    if allowed not in ("*", "null", FOREIGN_ORIGIN):
        return
    cookies = one.header("access-control-allow-credentials").lower() == "true"
    yield problem(
        f"pages of any site may read its answers{', with the visitor’s cookies' if cookies else ''}",
        "let the application allow your own origins only (its CORS setting)",
        subject=one.url,
        evidence=(f"asked with Origin: {FOREIGN_ORIGIN}", f"Access-Control-Allow-Origin: {allowed}"),
        effect="any web page can act for a visitor who is logged in" if cookies else "its data is open to every page",
    )


def _rate_limit(scene: Scene) -> Judgement:
    limited = [route for route in scene.case.app.routes if route.rate_limit]
    if not scene.hosts:
        return beside_the_point(_NO_ROUTES)
    if not limited:
        return seen("no route has a limit", problems=[_no_limit(scene.case.app.routes)])
    shown = tuple(
        f"{one.route}: {one.limit}; "
        + (
            one.skipped
            or one.error
            or f"request {one.refused_at or one.sent} {'got 429' if one.refused_at else 'was let in'}"
        )
        for one in scene.bursts
    )
    tried = [one for one in scene.bursts if not one.skipped]
    if not tried:
        return only_a_person("the limit was not tried: it needs too many requests, or you asked for none", *shown)
    wrong = [one for one in tried if one.refused_at is None]
    problems = [
        problem(
            f"{one.sent} requests at once were all let in",
            "`havre deploy` applies the route's `rate_limit` again; see `havre edge`",
            subject=one.route,
            evidence=(f"limit: {one.limit}", *([one.error] if one.error else [])),
        )
        for one in wrong
    ]
    return seen(*shown, problems=problems)


def _no_limit(routes: tuple[Route, ...]) -> Problem:
    first = routes[0]
    return problem(
        "no route has a rate limit",
        f"add `rate_limit: 100/minute` to the route {first.host}{first.path} that leads to logins",
        effect="passwords can be guessed, and one visitor can take all of the capacity",
    )


def _answers(scene: Scene) -> Judgement:
    asked = [one for one in scene.answers if one.tls] or list(scene.answers)
    shown = tuple(f"{one.url}: {one.error or one.status}" for one in asked)
    if not asked:
        return beside_the_point("the app has no routes; its health checks say whether it answers")
    bad = [one for one in asked if one.error or one.status >= 500]
    problems = [
        problem(f"it is answered {one.error or one.status}", "`havre doctor` says why", subject=one.url) for one in bad
    ]
    problems += [problem(text, "correct the application, or `release.verify`") for text in scene.promises]
    return seen(*shown, *_verified(scene), problems=problems)


def _verified(scene: Scene) -> tuple[str, ...]:
    count = len(scene.case.app.verifications)
    return (f"asked through the edge as release.verify says: {count}",) if count else ()


ITEMS = (
    Item(
        id="certificates",
        title="certificates are valid and renew by themselves",
        doc=(
            "A real handshake for every host: the names it is for, days left (14 at least), whether this system trusts "
            "the chain, and whether something here renews it."
        ),
        judge=_certificates,
        promised=("C71",),
        looks=("handshakes", "automations"),
    ),
    Item(
        id="tls-works",
        title="every host answers with TLS",
        doc="Each host is asked with TLS, through the edge or the proxy before it.",
        judge=_tls_works,
        promised=("L54", "T37"),
        looks=("handshakes", "answers"),
    ),
    Item(
        id="https-everywhere",
        title="nothing is served in the clear",
        doc="Each route is asked with plain http; it must lead to https.",
        judge=_https_everywhere,
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
        judge=_tls_quality,
        promised=("C78",),
        looks=("handshakes", "answers"),
    ),
    Item(
        id="security-headers",
        title="answers carry the security headers",
        doc="As visitors get: Strict-Transport-Security, X-Content-Type-Options, X-Frame-Options, Referrer-Policy.",
        judge=_headers,
        promised=("C77",),
        looks=("answers",),
    ),
    Item(
        id="cors-strict",
        title="pages of other sites may not read the app",
        doc="Each route is asked, and asked first (OPTIONS), as a page of a foreign origin would.",
        judge=_cors,
        promised=("S35",),
        looks=("origins",),
    ),
    Item(
        id="rate-limit",
        title="rate limits refuse what is too much",
        doc=(
            "Every route with a `rate_limit` of up to 500 requests gets a few more, from an address of this machine "
            "that no visitor has, so that nobody else's count is touched; it must answer 429 (`--no-burst`: not tried)."
        ),
        judge=_rate_limit,
        promised=("C79", "S36", "M49"),
        looks=("bursts",),
        level=Level.RECOMMENDED,
        asks="Was the rate limit tried by hand?",
    ),
    Item(
        id="api-answers",
        title="the app answers as it promised",
        doc="Every route is asked, and every request of `release.verify`, through the edge.",
        judge=_answers,
        promised=("L52",),
        looks=("answers", "promises"),
    ),
)
