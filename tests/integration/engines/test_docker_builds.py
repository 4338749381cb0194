"""Building images on a real Docker Engine: with BuildKit, and with the classic builder where that is all there is."""

from __future__ import annotations

from pathlib import Path

import pytest
from docker_stage import Stage

from havre.engines.docker.buildkit import BuildKit
from havre.engines.docker.builds import Builder
from havre.engines.docker.pulls import Credentials
from havre.errors import FailedError, InputError
from havre.model.plan import BuildImage, RunTask
from havre.model.project import Build, FileSource

pytestmark = pytest.mark.docker


class Absent(BuildKit):
    """A server without a BuildKit client."""

    def is_here(self) -> bool:
        return False


@pytest.fixture(params=["buildkit", "classic"])
def builder(request: pytest.FixtureRequest, stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Builder:
    """Both ways to build; the same must come out."""
    client = stage.engine.client
    kit = Absent(client.host) if request.param == "classic" else BuildKit(client.host)
    if request.param == "buildkit" and not kit.is_here():
        pytest.skip("no client that speaks BuildKit is installed")
    return Builder(client, Credentials(tmp_path_factory.mktemp("docker-config")), kit)


def build(builder: Builder, stage: Stage, directory: Path, **how: object) -> str:
    """Build and return the reference."""
    reference = f"{stage.instance}/web:built"
    step = BuildImage(service="web", reference=reference, build=Build(context=str(directory), **how))  # type: ignore[arg-type]
    builder.build(step, stage.context(), stage.told.append)
    return reference


def shown(stage: Stage, reference: str, shell: str) -> list[str]:
    """What a shell line prints in a container of the image."""
    stage.told.clear()
    stage.do(RunTask(service=stage.service(image=reference), command=("sh", "-c", shell)))
    return stage.told


def test_arguments_target_and_ignored_files_count(builder: Builder, stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(
        "FROM alpine AS base\nARG COLOUR=none\nRUN echo $COLOUR > /colour\nCOPY . /src\n"
        "FROM base AS extra\nRUN touch /extra\n"
    )
    (tmp_path / ".dockerignore").write_text("# rubbish\n*.log\nnode_modules\n!keep.log\n")
    (tmp_path / "node_modules").mkdir()
    for name in ("app.py", "debug.log", "keep.log", "node_modules/dep.js"):
        (tmp_path / name).write_text(name)

    reference = build(builder, stage, tmp_path, args=(("COLOUR", "blue"),), target="base")

    seen = shown(stage, reference, "cat /colour; ls -A /src; ls /extra 2>&1; true")
    assert [name for name in seen if name not in {".dockerignore", "Dockerfile"}] == [
        "blue", "app.py", "keep.log", "ls: cannot access '/extra': No such file or directory",
    ]  # fmt: skip


def test_an_ignore_file_of_the_dockerfile_wins(builder: Builder, stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "web.Dockerfile").write_text("FROM alpine\nCOPY . /src\n")
    (tmp_path / "web.Dockerfile.dockerignore").write_text("b.txt\n")
    (tmp_path / ".dockerignore").write_text("a.txt\n")
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(name)

    reference = build(builder, stage, tmp_path, dockerfile="web.Dockerfile")

    assert shown(stage, reference, "ls /src/*.txt") == ["/src/a.txt"]


def test_an_inline_dockerfile_needs_no_file(builder: Builder, stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("inline works")

    reference = build(builder, stage, tmp_path, dockerfile_inline="FROM alpine\nCOPY a.txt /a.txt\n")

    assert shown(stage, reference, "cat /a.txt") == ["inline works"]


def test_a_dockerfile_outside_its_context_is_used(builder: Builder, stage: Stage, tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    (context / "a.txt").write_text("from the context")
    (tmp_path / "Dockerfile").write_text("FROM alpine\nCOPY a.txt /a.txt\n")

    reference = build(builder, stage, context, dockerfile="../Dockerfile")

    assert shown(stage, reference, "cat /a.txt") == ["from the context"]


def test_links_and_modes_are_kept(builder: Builder, stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM alpine\nCOPY . /src\n")
    (tmp_path / "run.sh").write_text("#!/bin/sh\necho ran\n")
    (tmp_path / "run.sh").chmod(0o755)
    (tmp_path / "link").symlink_to("run.sh")

    reference = build(builder, stage, tmp_path)

    assert shown(stage, reference, "/src/link; readlink /src/link") == ["ran", "run.sh"]


def test_labels_say_whose_image_it_is_and_discarding_it_takes_all_its_names(
    builder: Builder, stage: Stage, tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM alpine\nLABEL mine={stage.instance}\n")
    reference = build(builder, stage, tmp_path, labels=(("team", "blue"),), tags=(f"{stage.instance}/web:other",))
    image = stage.engine.observe(stage.instance, references=[reference]).image(reference)
    assert image is not None
    assert {("team", "blue"), ("havre.instance", stage.instance), ("havre.service", "web")} <= set(image.labels)

    (mine,) = [one for one in stage.engine.images_here() if one.instance == stage.instance]

    assert (mine.id, set(mine.names)) == (image.id, {reference, f"{stage.instance}/web:other"})
    assert stage.engine.discard(mine)
    assert stage.engine.observe(stage.instance, references=[reference]).images == ()


def test_a_failing_step_is_shown_with_its_last_lines(builder: Builder, stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(
        "FROM alpine\nRUN echo fine\n"
        "RUN echo installing && echo 'no such package: left-pad' >&2 && exit 7\nRUN echo never\n"
    )

    with pytest.raises(FailedError) as failure:
        build(builder, stage, tmp_path)

    problem = failure.value.problems[0]
    assert (problem.code, problem.subject) == ("build-failed", "web")
    assert any("RUN echo installing" in line for line in problem.evidence[:1]), problem.evidence
    assert any("no such package: left-pad" in line for line in problem.evidence)
    assert not any("fine" in line for line in problem.evidence)


def test_a_file_that_is_not_in_the_context_is_the_cause(builder: Builder, stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM alpine\nCOPY requirements.txt /\n")

    with pytest.raises(FailedError, match="not in the build context") as failure:
        build(builder, stage, tmp_path)

    assert "requirements.txt" in str(failure.value)


def test_a_host_that_cannot_be_reached_is_named(builder: Builder, stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(
        "FROM python:3.11-slim\nRUN pip install --retries 1 --index-url https://packages.invalid/simple nothing\n"
    )

    with pytest.raises(FailedError, match=r"packages\.invalid could not be reached"):
        build(builder, stage, tmp_path)


def test_a_missing_dockerfile_or_context_is_told_before_anything_runs(
    stage: Stage, builder: Builder, tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile.prod").write_text("FROM alpine\n")

    with pytest.raises(InputError, match=r"set `build.dockerfile`"):
        build(builder, stage, tmp_path)
    with pytest.raises(InputError, match="is not a directory"):
        build(builder, stage, tmp_path / "nowhere", dockerfile_inline="FROM alpine\n")


def test_a_build_secret_is_there_while_building_and_nowhere_after(stage: Stage, tmp_path: Path) -> None:
    kit = BuildKit(stage.engine.client.host)
    if not kit.is_here():
        pytest.skip("no client that speaks BuildKit is installed")
    stage.secrets = (FileSource(key="token", content="s3cret"),)
    (tmp_path / "Dockerfile").write_text(
        "FROM alpine\n"
        "RUN --mount=type=secret,id=token cp /run/secrets/token /tmp/t && wc -c < /tmp/t > /size && rm /tmp/t\n"
    )
    builder = Builder(stage.engine.client, Credentials(tmp_path), kit)

    reference = build(builder, stage, tmp_path, options=(("secrets", '[{"source": "token"}]'),))

    assert shown(stage, reference, "cat /size; ls /run/secrets 2>/dev/null") == ["6"]


def test_what_needs_buildkit_is_refused_by_name_without_it(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM alpine\n")
    builder = Builder(stage.engine.client, Credentials(tmp_path), Absent("unix:///nowhere"))

    with pytest.raises(FailedError, match=r"needs BuildKit for `build.secrets`"):
        build(builder, stage, tmp_path, options=(("secrets", '[{"source": "token"}]'),))
