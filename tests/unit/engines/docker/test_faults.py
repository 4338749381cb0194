"""The engine's refusals, in its own words as seen on real ones, and what they mean."""

# ruff: noqa: E501 - what engines and builders really say stays in one piece

from __future__ import annotations

import errno
from dataclasses import replace
from typing import Any

import pytest

from havre.engines.docker.faults import REFUSALS, Asked, explain, not_answering, way_in
from havre.errors import FailedError, HavreError, UnavailableError
from havre.host.members import Access

ASKED = Asked(method="POST", path="/containers/create", doing="start web.1")

SEEN = [
    ("write /var/lib/docker/tmp/x: no space left on device", "disk-full"),
    ("driver failed programming external connectivity on endpoint shop-web-1 (1f): Bind for 0.0.0.0:8080 failed: port is already allocated", "port-taken"),
    ("driver failed programming external connectivity on endpoint x (1f): Error starting userland proxy: listen udp4 127.0.0.1:53: bind: address already in use", "port-taken"),
    ("Pool overlaps with other one on this address space", "subnet-overlap"),
    ("could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network", "subnet-none-left"),
    ("Address already in use", "address-taken"),
    ("No such image: shop/web:2", "image-missing"),
    ("pull access denied for shop/web, repository does not exist or may require 'docker login': denied: requested access to the resource is denied", "image-missing"),
    ("manifest for redis:77 not found: manifest unknown: manifest unknown", "image-missing"),
    ("no matching manifest for linux/arm64/v8 in the manifest list entries", "image-missing"),
    ('Head "https://ghcr.io/v2/a/b/manifests/1": unauthorized', "registry-login"),
    ("Get https://r:5000/v2/: no basic auth credentials", "registry-login"),
    ("toomanyrequests: You have reached your pull rate limit.", "registry-limit"),
    ('Get "https://registry-1.docker.io/v2/": dial tcp: lookup registry-1.docker.io on 10.0.0.1:53: no such host', "registry-down"),
    ('Get "https://r/v2/": net/http: TLS handshake timeout', "registry-down"),
    ('Get "https://r/v2/": x509: certificate signed by unknown authority', "registry-down"),
    ("network monitoring not found", "network-missing"),
    ("invalid mount config for type \"bind\": bind source path does not exist: /srv/x", "mount-missing"),
    ("failed to create shim: OCI runtime create failed: error mounting: not a directory: unknown: Are you trying to mount a directory onto a file (or vice-versa)?", "mount-kind"),
    ('OCI runtime create failed: container_linux.go:380: starting container process caused: exec: "gunicorn": executable file not found in $PATH: unknown', "program-not-in-image"),
    ('runc create failed: unable to start container process: exec: "/entry.sh": stat /entry.sh: no such file or directory: unknown', "program-not-in-image"),
    ('runc create failed: unable to start container process: exec: "/entry.sh": permission denied: unknown', "program-not-in-image"),
    ("runc create failed: unable to start container process: unable to apply caps: operation not permitted: unknown", "rights-missing"),
    ('could not select device driver "nvidia" with capabilities: [[gpu]]', "device-missing"),
    ("unable to find user app: no matching entries in passwd file", "user-missing"),
    ("failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: error during container init: %!w(<nil>): unknown", "runtime-failed"),
    ("container rootfs is marked read-only", "read-only-root"),
    ("Container 1f is not running", "not-running"),
    ("Container 1f is restarting, wait until the container is running", "not-running"),
    ("configured logging driver does not support reading", "logs-elsewhere"),
    ("Minimum memory limit allowed is 6MB", "memory-too-low"),
]  # fmt: skip


@pytest.mark.parametrize(("message", "code"), SEEN, ids=[f"{code}-{number}" for number, (_, code) in enumerate(SEEN)])
def test_a_refusal_is_recognised_and_kept_as_evidence(message: str, code: str) -> None:
    problem = explain(500, message, ASKED).problems[0]

    assert problem.code == code
    assert problem.summary.startswith("could not start web.1: ")
    assert problem.evidence == (message,)
    assert "{" not in problem.summary + problem.hint


def test_every_kind_of_refusal_is_tried_here() -> None:
    assert {refusal.code for refusal in REFUSALS} == {code for _, code in SEEN}


def test_names_in_the_words_are_used() -> None:
    assert "docker network create monitoring" in explain(404, "network monitoring not found", ASKED).problems[0].hint


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("toomanyrequests", UnavailableError),
        ("dial tcp: i/o timeout", UnavailableError),
        ("No such image: x", FailedError),
    ],
)
def test_what_may_pass_by_itself_is_unavailable(message: str, kind: type[HavreError]) -> None:
    assert type(explain(500, message, ASKED)) is kind


def test_an_unknown_refusal_gives_the_engines_own_words() -> None:
    error = explain(409, "something   quite\nnew", ASKED)

    assert error.problems[0].summary == "the Docker Engine could not start web.1"
    assert error.problems[0].evidence == ("something quite new (HTTP 409)",)


def test_endless_words_are_shortened() -> None:
    assert len(explain(500, "x" * 10_000, ASKED).problems[0].evidence[0]) < 450


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (FileNotFoundError(errno.ENOENT, "No such file"), "docker-down", "there is no such socket"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), "docker-down", "Connection refused"),
        (PermissionError(errno.EACCES, "Permission denied"), "docker-permission", "permission denied on the socket"),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), "docker-down", "reset by peer"),
    ],
)
def test_an_engine_that_cannot_be_reached(error: OSError, code: str, words: str) -> None:
    problem = not_answering("unix:///var/run/docker.sock", error, ASKED).problems[0]

    assert problem.code == code
    assert "unix:///var/run/docker.sock" in problem.summary
    assert words in problem.evidence[0]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, "`sudo usermod -aG docker anna`, then log in again"),
        ({"is_listed": True}, "log in again, or `newgrp docker`: anna is in group docker, and this login is older"),
        (
            {"is_listed": True, "is_member": True, "mode": 0o640},
            "`sudo chmod g+rw /run/docker.sock`: group docker itself may not use it",
        ),
        ({"group": "root"}, "`sudo groupadd -f docker && sudo systemctl restart docker` gives the socket a group"),
    ],
)
def test_whoever_may_not_use_the_engine_is_told_the_way_in_by_how_things_stand(changed: Any, said: str) -> None:
    anna = Access(user="anna", owner="root", group="docker", mode=0o660, is_listed=False, is_member=False)
    assert way_in(replace(anna, **changed), "/run/docker.sock").startswith(said)
