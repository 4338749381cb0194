"""What a visitor gets: security headers, no answers for foreign pages, limits that hold, and right answers."""

from __future__ import annotations

from collections.abc import Iterator

from havre.checks.launch.item import Item, Judgement, Level, beside_the_point, of_visitors, only_a_person, problem, seen
from havre.checks.launch.scene import Scene
from havre.errors import Problem
from havre.model.launch import WebAnswer
from havre.model.route import Route

_HEADERS = {
    "strict-transport-security": "Strict-Transport-Security",
    "x-content-type-options": "X-Content-Type-Options: nosniff",
    "x-frame-options": "X-Frame-Options (or frame-ancestors in a Content-Security-Policy)",
    "referrer-policy": "Referrer-Policy",
}


def _headers(scene: Scene) -> Judgement:
    answers = [one for one in scene.answers if one.tls and not one.error]
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
        yield problem(
            f"X-Content-Type-Options is `{found}`",
            "take it out of the route's `headers` and of the application: the edge then sends `nosniff`",
            subject=one.url,
        )


def _cors(scene: Scene) -> Judgement:
    answered = [one for one in scene.origins if not one.error]
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
        id="security-headers",
        title="answers carry the security headers",
        doc="As visitors get: Strict-Transport-Security, X-Content-Type-Options, X-Frame-Options, Referrer-Policy.",
        judge=of_visitors(_headers),
        promised=("C77",),
        looks=("answers",),
    ),
    Item(
        id="cors-strict",
        title="pages of other sites may not read the app",
        doc="Each route is asked, and asked first (OPTIONS), as a page of a foreign origin would.",
        judge=of_visitors(_cors),
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
        judge=of_visitors(_rate_limit),
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
