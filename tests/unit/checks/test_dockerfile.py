"""What a Dockerfile tells before it is built: its stages, what they stand on, what is copied and run."""

from __future__ import annotations

import pytest

from havre.checks.dockerfile import base_images, built_upon, foundation, stages

STAGED = """\
ARG TAG=1.27
FROM node:20 AS build
COPY . /src
FROM nginx:${TAG}-alpine AS base
COPY nginx.conf /etc/nginx/
FROM base
COPY --from=build /src/dist /usr/share/nginx/html
COPY conf.d/ /etc/nginx/conf.d/
"""


def test_the_stages_of_the_image_are_followed_to_their_base() -> None:
    found = stages(STAGED)
    assert [stage.base for stage in found] == ["node:20", "nginx:1.27-alpine", "base"]
    assert [stage.base for stage in built_upon(found)] == ["nginx:1.27-alpine", "base"]
    assert base_images(found) == ("node:20", "nginx:1.27-alpine")
    assert base_images(stages(STAGED, [("TAG", "1.29")])) == ("node:20", "nginx:1.29-alpine")
    assert [stage.name for stage in built_upon(found, "build")] == ["build"]


def test_what_is_copied_into_the_image_is_known_by_both_names() -> None:
    known = foundation(STAGED, context="/srv/web")
    assert known is not None
    assert known.base == "nginx:1.27-alpine"
    assert known.copied == (
        ("/etc/nginx/nginx.conf", "/srv/web/nginx.conf"),
        ("/usr/share/nginx/html", ""),
        ("/etc/nginx/conf.d", "/srv/web/conf.d"),
    )


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ('FROM redis\nCMD ["redis-server", "/etc/x.conf"]', ("redis-server", "/etc/x.conf")),
        ("FROM redis\nCMD redis-server /etc/x.conf", ("redis-server", "/etc/x.conf")),
        ('FROM x\nCMD ["a"]\nENTRYPOINT ["b"]\nCMD ["c"]', ("b", "c")),
        ("FROM redis AS a\nCMD one\nFROM a\nCMD two", ("two",)),
        ("FROM redis", ()),
    ],
)
def test_what_the_image_runs_is_read_in_both_forms(text: str, command: tuple[str, ...]) -> None:
    known = foundation(text)
    assert known is not None
    assert known.command == command


def test_a_directory_to_work_in_counts_for_where_files_go() -> None:
    known = foundation(
        "FROM redis\nWORKDIR /etc\nWORKDIR kv\nCOPY a.conf b.conf ./\nADD c.conf /x/y.conf\n", context="/c"
    )
    assert known is not None
    assert known.copied == (
        ("/etc/kv/a.conf", "/c/a.conf"),
        ("/etc/kv/b.conf", "/c/b.conf"),
        ("/x/y.conf", "/c/c.conf"),
    )


@pytest.mark.parametrize("text", ["", "FROM $BASE", "ARG BASE\nFROM ${BASE}:1", "RUN make"])
def test_what_only_the_build_knows_is_not_guessed(text: str) -> None:
    assert foundation(text) is None
    assert base_images(stages(text)) == ()


def test_an_image_made_of_nothing_pulls_nothing() -> None:
    assert base_images(stages("FROM scratch\nCOPY a /a")) == ()
