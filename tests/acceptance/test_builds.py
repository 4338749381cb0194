"""Rows S10, S20 and S31: the images that the supplier guide writes down, built as they stand and served."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from guides import GuideApp, docker, new_app, remove

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(600)]
FIXTURES = Path(__file__).parent / "fixtures"
API_URL = "https://api.supplier.localhost"
PROBE = "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/docs', timeout=4)"

COMPOSE = f"""\
services:
  backend:
    build: ./backend
    restart: unless-stopped
    healthcheck: {{test: [CMD, python, -c, "{PROBE}"], interval: 30s, timeout: 10s, retries: 3}}
  frontend:
    build: {{context: nextjs, dockerfile: Dockerfile.frontend, args: {{NEXT_PUBLIC_API_URL: "{API_URL}"}}}}
    restart: unless-stopped
"""
MANIFEST = """\
app: {name}
routes:
  - {{host: www.supplier.localhost, to: frontend:3000}}
  - {{host: api.supplier.localhost, to: backend:8000}}
"""


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuideApp]:
    """Both images, built by Docker from the fixtures' sources, and served."""
    app = new_app(tmp_path_factory.mktemp("images") / "app", "builds", tls=False, first_port=32100)
    app.write({"docker-compose.yml": COMPOSE, "havre.yaml": MANIFEST.format(name=app.name)})
    for name in ("backend", "nextjs"):
        shutil.copytree(FIXTURES / name, app.directory / name)
    try:
        app.deploy()
        yield app
    finally:
        remove(app)


def test_the_backends_image_is_built_as_written_with_gcc_and_libpq(images: GuideApp) -> None:
    assert images.ask("api.supplier.localhost/api/driver").json["libpq"] >= 130000
    running = images.container("backend")
    assert running["Config"]["Cmd"] == ["uvicorn", "main:app", "--host", "0.0.0.0", "--port", "8000"]
    assert "8000/tcp" in running["Config"]["ExposedPorts"]
    program = "#include <libpq-fe.h>\nint main(void) { return PQlibVersion() < 130000; }"
    compiled = f"printf '%s' '{program}' > /tmp/p.c && gcc /tmp/p.c -I/usr/include/postgresql -lpq -o /tmp/p && /tmp/p"
    docker("exec", running["Id"], "sh", "-c", compiled)
    listed = docker("exec", running["Id"], "sh", "-c", "ls ~/.cache/pip 2>&1 || true")
    assert "No such file" in listed, "pip kept no cache in the image"


def test_requests_are_counted_for_prometheus(images: GuideApp) -> None:
    for _ in range(3):
        images.ask("api.supplier.localhost/api/driver")
    lines = images.ask("api.supplier.localhost/metrics").text.splitlines()
    counted = [line for line in lines if line.startswith("http_requests_total") and 'handler="/api/driver"' in line]
    assert len(counted) == 1
    assert float(counted[0].rpartition(" ")[2]) >= 3


def test_a_next_js_workspace_is_built_by_pnpm_in_two_stages_and_served_standalone(images: GuideApp) -> None:
    page = images.ask("www.supplier.localhost/").text
    assert "Analytics of suppliers" in page
    assert API_URL in page
    running = images.container("frontend")
    assert running["Config"]["Cmd"] == ["node", "apps/web/server.js"]
    assert "NODE_ENV=production" in running["Config"]["Env"]
    files = docker("exec", running["Id"], "ls", "/app", "/app/apps/web").split()
    assert {"server.js", "public", ".next"} & set(files) >= {"server.js", "public"}
    assert "pnpm-lock.yaml" not in files, "the sources and the builder's tools stay behind"
    assert images.ask("www.supplier.localhost/robots.txt").text.startswith("User-agent")
    assert any(API_URL in images.ask(f"www.supplier.localhost{path}").text for path in _scripts(page))


def _scripts(page: str) -> list[str]:
    """The paths of the page's own scripts: what a browser loads."""
    return [part.split('"', 1)[0] for part in page.split('src="')[1:] if part.startswith("/_next/static/")]
