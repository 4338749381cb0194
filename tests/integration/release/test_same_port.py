"""Callers inside the app meet a service at one address, whatever else the Compose file says of that port later."""

from __future__ import annotations

import pytest
from shop import Shop

WORKER = """\
services:
  aide:
    <<: *common
    environment: {ROLE: aide}
    command: sleep 600
    healthcheck: {disable: true}
    init: true
"""


@pytest.mark.parametrize("shop", ["docker"], indirect=True)
@pytest.mark.docker
def test_a_worker_of_the_same_image_written_first_takes_no_calls_away(shop: Shop) -> None:
    dockerfile = shop.directory / "app" / "Dockerfile"
    dockerfile.write_text(dockerfile.read_text() + "EXPOSE 8000\n")
    shop.deploy()
    _rewrite(shop, "services:\n", WORKER)
    shop.deploy()
    assert shop.get()[0] == 200
    assert "nothing to do" in shop.havre("plan").stdout
    shop.write(api="2")
    dockerfile.write_text(dockerfile.read_text() + "EXPOSE 8000\n")
    _rewrite(shop, "services:\n", WORKER)
    with shop.visitors() as tally:
        shop.deploy()
    assert (tally.failed, tally.requests > 100) == (0, True), tally


@pytest.mark.parametrize("shop", ["docker", "process"], indirect=True)
def test_a_service_that_begins_to_keep_data_is_still_found_by_the_callers_that_run(shop: Shop) -> None:
    shop.deploy()
    _rewrite(shop, '    expose: ["8000"]\n', '    expose: ["8000"]\n    volumes: ["uploads:/uploads"]\n')
    _rewrite(shop, "volumes:\n  data:\n", "volumes:\n  data:\n  uploads:\n")
    with shop.visitors() as tally:
        shop.deploy()
    assert "web.1" in shop.replicas()  # the caller is the one that ran before
    assert (tally.failed, shop.get()[0]) == (0, 200), tally


def _rewrite(shop: Shop, old: str, new: str) -> None:
    path = shop.directory / "compose.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
