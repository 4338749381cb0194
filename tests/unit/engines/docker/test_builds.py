"""What is asked of the builders, and what their failures mean."""

# ruff: noqa: E501 - what engines and builders really say stays in one piece

from __future__ import annotations

import io
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from havre.engines.docker.build_faults import build_failed, plain
from havre.engines.docker.buildkit import build_arguments, failing_step
from havre.engines.docker.builds import classic_query, dockerfile_name, write_archive
from havre.errors import FailedError
from havre.model.plan import BuildImage
from havre.model.project import Build

BUILD = Build(
    context="/srv/shop",
    dockerfile="docker/web.Dockerfile",
    args=(("VERSION", "1"), ("FROM_SHELL", None)),
    target="prod",
    labels=(("team", "blue"),),
    network="host",
    tags=("shop/web:latest",),
    cache_from=("shop/web:cache",),
    extra_hosts=("a:1.2.3.4",),
    shm_size=64,
    no_cache=True,
    pull=True,
    platforms=("linux/amd64",),
)
STEP = BuildImage(service="web", reference="shop/web:abc", build=BUILD)


def test_everything_of_a_build_reaches_the_classic_builder() -> None:
    assert classic_query(STEP, "shop") == {
        "t": ("shop/web:abc", "shop/web:latest"),
        "dockerfile": "docker/web.Dockerfile",
        "remote": None,
        "buildargs": {"VERSION": "1"},
        "labels": {"team": "blue", "havre.instance": "shop", "havre.service": "web"},
        "target": "prod",
        "networkmode": "host",
        "extrahosts": ("a:1.2.3.4",),
        "shmsize": 64,
        "cachefrom": ["shop/web:cache"],
        "platform": "linux/amd64",
        "nocache": True,
        "pull": True,
        "rm": True,
        "forcerm": True,
    }


def test_a_remote_context_is_fetched_by_the_builder() -> None:
    step = replace(STEP, build=Build(context="https://example.org/shop.git#main:web"))

    query = classic_query(step, "shop")

    assert (query["remote"], query["dockerfile"]) == ("https://example.org/shop.git#main:web", "Dockerfile")


def test_several_platforms_need_buildkit() -> None:
    step = replace(STEP, build=replace(BUILD, platforms=("linux/amd64", "linux/arm64")))

    with pytest.raises(FailedError, match=r"needs BuildKit for several `build\.platforms`"):
        classic_query(step, "shop")


def test_everything_of_a_build_reaches_buildkit_and_no_value_is_on_the_command_line() -> None:
    options = (
        ("additional_contexts", '{"shared":"/srv/shared"}'),
        ("cache_to", '["type=inline"]'),
        ("entitlements", '["network.host"]'),
        ("no_cache_filter", '["prod"]'),
        ("privileged", "true"),
        ("provenance", "false"),
        ("sbom", '"generator=x"'),
        ("secrets", '[{"source":"token"}]'),
        ("ssh", '["default"]'),
        ("ulimits", '{"nofile":{"soft":1,"hard":2},"nproc":3}'),
    )
    step = replace(STEP, build=replace(BUILD, options=options))

    assert build_arguments(step, "shop", {"token": "/tmp/token"}) == [
        "--progress=plain",
        "--tag=shop/web:abc",
        "--tag=shop/web:latest",
        "--file=/srv/shop/docker/web.Dockerfile",
        "--build-arg=VERSION",
        "--label=team=blue",
        "--label=havre.instance=shop",
        "--label=havre.service=web",
        "--target=prod",
        "--network=host",
        "--cache-from=shop/web:cache",
        "--add-host=a:1.2.3.4",
        "--shm-size=64",
        "--platform=linux/amd64",
        "--no-cache",
        "--pull",
        "--secret=id=token,src=/tmp/token",
        "--build-context=shared=/srv/shared",
        "--cache-to=type=inline",
        "--allow=network.host",
        "--no-cache-filter=prod",
        "--allow=security.insecure",
        "--provenance=false",
        "--sbom=generator=x",
        "--ssh=default",
        "--ulimit=nofile=1:2",
        "--ulimit=nproc=3",
        "/srv/shop",
    ]


def test_an_inline_dockerfile_comes_on_stdin() -> None:
    step = replace(STEP, build=replace(BUILD, dockerfile_inline="FROM x"))

    assert "--file=-" in build_arguments(step, "shop", {})


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "Dockerfile"),
        ({"dockerfile": "./sub/../Dockerfile"}, "Dockerfile"),
        ({"dockerfile": "../Dockerfile"}, ".havre.dockerfile"),
        ({"dockerfile": "/etc/Dockerfile"}, ".havre.dockerfile"),
        ({"dockerfile_inline": "FROM x"}, ".havre.dockerfile"),
    ],
)
def test_where_the_dockerfile_lies_in_the_archive(tmp_path: Path, changes: dict[str, Any], name: str) -> None:
    assert dockerfile_name(Build(context=str(tmp_path), **changes)) == name


def test_the_archive_holds_the_dockerfile_once_even_when_it_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM alpine\n")
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    for ignored in ("", "Dockerfile\n.dockerignore\n"):
        (tmp_path / ".dockerignore").write_text(ignored)
        buffer = io.BytesIO()

        write_archive(Build(context=str(tmp_path)), buffer)

        buffer.seek(0)
        with tarfile.open(fileobj=buffer) as archive:
            names = [name for name in archive.getnames() if name != ".dockerignore"]
            owners = {(member.uid, member.gid, member.uname) for member in archive}
            same = archive.extractfile("b")
            assert same is not None
            assert same.read() == b"a"
        assert (sorted(names), owners) == (["Dockerfile", "a", "b"], {(0, 0, "")})


TRANSCRIPT = """\
#1 [internal] load build definition from Dockerfile
#1 DONE 0.0s
#5 [2/3] RUN echo fine
#5 0.200 fine
#5 DONE 0.3s
#6 [3/3] RUN npm ci
#6 0.541 npm ERR! code ENOTFOUND
#6 0.542 npm ERR! request to https://registry.npmjs.org/left-pad failed, reason: getaddrinfo ENOTFOUND registry.npmjs.org
#6 ERROR: process "/bin/sh -c npm ci" did not complete successfully: exit code: 1
------
 > [3/3] RUN npm ci:
0.541 npm ERR! code ENOTFOUND
------
Dockerfile:3
ERROR: failed to solve: process "/bin/sh -c npm ci" did not complete successfully: exit code: 1"""


def test_buildkits_failing_step_is_found_by_its_number() -> None:
    step, said, message = failing_step(TRANSCRIPT.splitlines())

    assert step == "[3/3] RUN npm ci"
    assert said[0] == "npm ERR! code ENOTFOUND"
    assert len(said) == 2
    assert message.startswith("ERROR: failed to solve")


def test_a_transcript_without_a_failing_step_gives_its_end() -> None:
    assert failing_step(["a", "error: cannot connect"]) == ("", ["a", "error: cannot connect"], "error: cannot connect")
    assert failing_step([]) == ("", [], "")


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        ("curl: (6) Could not resolve host: deb.nodesource.com", "deb.nodesource.com could not be reached"),
        ("npm ERR! getaddrinfo EAI_AGAIN registry.npmjs.org", "registry.npmjs.org could not be reached"),
        ("urllib3: HTTPSConnectionPool(host='pypi.org', port=443): Max retries", "pypi.org could not be reached"),
        ("Err:1 http://deb.debian.org Temporary failure resolving 'deb.debian.org'", "deb.debian.org could not be reached"),
        ("fatal: unable to access 'https://github.com/a/b/': timed out", "github.com could not be reached"),
        ("Looking in indexes: https://p.example/simple\nFailed to establish a new connection", "p.example could not be reached"),
        ("Failed to establish a new connection: [Errno -3]", "a host on the network could not be reached"),
        ("write /x: no space left on device", "the disk is full"),
        ("COPY failed: file not found in build context or excluded by .dockerignore: stat app.py", "not in the build context"),
        ('failed to compute cache key: "/app.py" not found: not found', "not in the build context"),
        ("`npm ci` can only install packages when your package.json and package-lock.json are in sync", "lock file does not match"),
        ("poetry.lock: pyproject.toml changed significantly since poetry.lock was last generated. lock file up to date", "lock file does not match"),
        ("error: lockfile is not up to date, but `--frozen-lockfile` was provided", "lock file does not match"),
        ("/bin/sh: 1: tsc: not found", "a program that the step runs is not in the image"),
        ("the --mount option requires BuildKit. Refer to", "needs BuildKit"),
        ("The command '/bin/sh -c npm run build' returned a non-zero code: 137", "the step was killed"),
        ("Assertion failed", "a step failed"),
    ],
)  # fmt: skip
def test_causes_are_recognised(words: str, cause: str) -> None:
    error = build_failed("web", "RUN it", words.splitlines(), "it failed", 3.2)

    assert cause in error.problems[0].summary
    assert error.problems[0].evidence[0] == "RUN it"


def test_only_the_last_lines_are_shown() -> None:
    error = build_failed("web", "", [str(number) for number in range(100)], "end", 1)

    assert error.problems[0].evidence[0] == "80"
    assert error.problems[0].evidence[-2:] == ("99", "end")


def test_colours_are_taken_out() -> None:
    assert plain("\x1b[91mERROR: no\x1b[0m  ") == "ERROR: no"
