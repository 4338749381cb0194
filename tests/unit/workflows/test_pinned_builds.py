"""What a built image is called: the same content the same, and everything that goes into it counts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from havre.model.app import App, ProcessSpec
from havre.model.project import Build, Project, Service
from havre.workflows.intent import pin_builds


def test_how_the_manifest_has_it_run_as_a_process_is_part_of_the_name(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("print('hello')")
    project = Project(name="shop", services=(Service(name="web", image="", build=Build(context=str(tmp_path))),))
    first = ProcessSpec(service="web", command="python app.py")
    names = [
        pin_builds(project, App(name="shop", processes=specs)).services[0].image
        for specs in [(), (first,), (first,), (replace(first, command="python -u app.py"),)]
    ]
    assert names[1] == names[2]
    assert len(set(names)) == 3
    other = (ProcessSpec(service="worker", command="python app.py"),)
    assert pin_builds(project, App(name="shop", processes=other)).services[0].image == names[0]


def test_services_built_from_one_context_are_named_by_what_they_build_of_it(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("print('hello')")
    build = Build(context=str(tmp_path))
    builds = {"web": build, "worker": replace(build, tags=("x:1",)), "test": replace(build, target="test")}
    services = tuple(Service(name=name, image="", build=one) for name, one in builds.items())
    pinned = pin_builds(Project(name="shop", services=services), App(name="shop")).services
    web, worker, test = (one.image.partition(":")[2] for one in pinned)
    assert web == worker != test
    assert pinned[1].build is not None
    assert pinned[1].build.tags == ("x:1",)
