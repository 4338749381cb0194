"""The edge as a container on the host's network: the same routes, and Docker brings it back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from havre.edge.container_runner import IMAGE, ContainerRunner
from havre.edge.haproxy import Edge
from havre.engines.docker.client import DockerClient
from havre.errors import HavreError, RefusedError
from havre.model.route import AppEdge, EdgeSettings, Route

pytestmark = pytest.mark.docker
WEB = ("web", 3000)


@pytest.fixture
def docker() -> DockerClient:
    client = DockerClient()
    try:
        found = client.find(f"/images/{IMAGE}/json", doing="look for HAProxy's image")
    except HavreError:
        pytest.skip("needs a Docker Engine (make lab-up)")
    if found is None:
        pytest.skip(f"needs the image {IMAGE} (make lab-up)")
    return client


@pytest.fixture
def edge(docker: DockerClient, home: Path, unused_port: Callable[[], int]) -> Iterator[Edge]:
    port = unused_port()
    settings = EdgeSettings(addresses=("127.0.0.1",), http_port=port, https_port=None, threads=1)
    made = Edge(home, ContainerRunner(docker=docker, name=f"havre-edge-test-{port}"), settings)
    made.ensure_running()
    yield made
    made.stop()


def test_a_containers_edge_serves_refuses_and_comes_back(
    edge: Edge, docker: DockerClient, replica: Callable[..., object], ask_at: Callable[..., str]
) -> None:
    first, second = replica("web.1"), replica("web.2", "127.0.0.3")
    route = Route(host="shop.example", path="/x", service="web", port=3000, strip_prefix=True)
    edge.apply(AppEdge(instance="shop", routes=(route,), upstreams=((WEB, (first.upstream,)),)))  # type: ignore[attr-defined]
    assert ask_at(edge.settings.http_port, "/x/y") == "web.1 /y"
    edge.switch("shop", {WEB: [second.upstream]})  # type: ignore[attr-defined]
    assert ask_at(edge.settings.http_port, "/x/y") == "web.2 /y"
    bad = Route(host="two.example", service="web", port=3000, balance="sometimes")  # type: ignore[arg-type]
    with pytest.raises(RefusedError, match="HAProxy refuses the configuration of `two`"):
        edge.apply(AppEdge(instance="two", routes=(bad,)))
    name = f"havre-edge-test-{edge.settings.http_port}"
    docker.post(f"/containers/{name}/kill", None, {"signal": "KILL"}, doing="kill the edge")
    edge.ensure_running()
    assert ask_at(edge.settings.http_port, "/x/y") == "web.2 /y"
    assert '"app":"shop"' in edge.layout.log.read_text()
