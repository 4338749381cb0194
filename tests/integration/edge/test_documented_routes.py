"""Every example of the how-to page does on a real edge what the page says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from havre.manifest.load import parse_app
from havre.model.route import AppEdge, Route

pytestmark = pytest.mark.process
PAGE = Path(__file__).parents[3] / "docs/how-to/lead-visitors.md"
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)


def expected(route: Route) -> int:
    """What a stranger gets for a route's own path."""
    if route.redirect_to is not None:
        return 301
    if route.maintenance:
        return 503
    return 403 if route.allow else 200


def test_the_documented_routes_are_served_as_written(world: Any) -> None:
    web, api = world.replica("web.1").upstream, world.replica("api.1", "127.0.0.3").upstream
    upstreams = ((("web", 3000), (web,)), (("api", 8000), (api,)))
    assert len(EXAMPLES) >= 8
    for text in EXAMPLES:
        app = parse_app(text)
        world.edge.apply(AppEdge(instance=app.instance, routes=app.routes, upstreams=upstreams))
        found = {str(route): world.ask(route.path, host=route.host.replace("*", "any")).status for route in app.routes}
        assert found == {str(route): expected(route) for route in app.routes}


def test_an_empty_header_removes_a_default_and_a_cached_path_is_asked_once(world: Any) -> None:
    text = next(text for text in EXAMPLES if "Content-Security-Policy" in text)
    web = world.replica("web.1")
    routes = parse_app(text).routes
    world.edge.apply(AppEdge(instance="shop", routes=routes, upstreams=((("web", 3000), (web.upstream,)),)))
    front = world.ask()
    assert front.headers["content-security-policy"] == "default-src 'self'"
    assert "x-frame-options" not in front.headers
    asked = web.asked
    assert world.ask("/static/logo").body == world.ask("/static/logo").body
    assert web.asked == asked + 1
