"""Services with `build:`, prepared from their source: dependencies once per content, releases that never change."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from tests.integration.process.conftest import DEFAULT, SERVER, Stage, until

from havre.engines.process.engine import ProcessEngine
from havre.errors import FailedError, InputError
from havre.model.app import ProcessSpec
from havre.model.health import HealthState
from havre.model.plan import BuildImage, PullImage
from havre.model.project import Build, Service

pytestmark = pytest.mark.process

NODE_SERVER = """
const http = require("node:http");
const words = require("./words.json");
http.createServer((request, response) => response.end(words.built)).listen(process.env.PORT, process.env.HOST);
"""


def _build(stage: Stage, build: Build, reference: str = "shop_web", service: str = "web") -> str:
    step = BuildImage(service=service, reference=reference, build=build)
    stage.engine.perform(step, stage.context, progress=stage.said.append)
    return stage.engine.observe("shop", references=[reference]).images[0].id


def test_the_same_content_is_the_same_image_and_other_content_another(viewed: Stage) -> None:
    build = viewed.source("web", app__py=SERVER, Procfile="web: python3 app.py")
    first = _build(viewed, build)
    assert _build(viewed, build) == first
    assert any("unchanged" in line for line in viewed.said)
    viewed.source("web", app__py=SERVER + "# changed\n")
    assert _build(viewed, build) != first
    again = replace(build, args=(("MODE", "x"),))
    assert _build(viewed, again) not in {first, _build(viewed, build)}


def test_a_release_does_not_change_under_a_running_replica(viewed: Stage) -> None:
    web = viewed.web()
    viewed.start(web)
    viewed.wait(web)
    (viewed.directory / "source-web" / "app.py").write_text("raise SystemExit('edited')")
    assert viewed.engine.execute("shop", "web", 1, ["grep", "-c", "edited", "app.py"]).output.strip() == "0"


@pytest.mark.slow
def test_python_dependencies_are_installed_once_and_shared(viewed: Stage) -> None:
    app = "import iniconfig\n" + SERVER
    build = viewed.source(
        "web", app__py=app, requirements__txt="iniconfig==2.0.0\n", Dockerfile="FROM x\nCMD python app.py\n"
    )
    web = viewed.add(Service(name="web", image="shop_web", build=build, expose=("8000",), networks=(DEFAULT,)))
    viewed.start(web)
    assert viewed.wait(web).state is HealthState.HEALTHY, viewed.texts(web)
    assert any("Python packages: installed" in line for line in viewed.said)
    viewed.source("web", app__py=app + "# changed\n")
    viewed.said.clear()
    _build(viewed, build)
    assert "Python packages: unchanged" in viewed.said
    assert len(list((viewed.directory / "state" / "cache" / "venvs").glob("*/.complete"))) == 1


def test_pyproject_dependencies_are_read(viewed: Stage) -> None:
    project = '[project]\nname = "x"\nversion = "1"\ndependencies = ["iniconfig==2.0.0"]\n'
    build = viewed.source(
        "web", pyproject__toml=project, Procfile="web: python -c 'import iniconfig; print(iniconfig)'"
    )
    web = viewed.add(Service(name="web", image="shop_web", build=build, networks=(DEFAULT,)))
    viewed.start(web)
    assert until(lambda: any("iniconfig" in text for text in viewed.texts(web)))
    assert "/venvs/" in viewed.texts(web)[0]


def test_dependencies_that_cannot_be_installed_say_why_and_leave_nothing(viewed: Stage) -> None:
    build = viewed.source("web", requirements__txt="no-such-package-of-anybody-zzz==9.9\n")
    with pytest.raises(FailedError) as caught:
        _build(viewed, build)
    assert "no-such-package-of-anybody-zzz" in str(caught.value)
    assert viewed.engine.observe("shop", references=["shop_web"]).images == ()
    assert not list((viewed.directory / "state" / "cache" / "venvs").glob("*/bin"))


@pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed")
def test_node_sources_are_built_with_their_own_script_and_started_as_they_say(viewed: Stage) -> None:
    build_line = "node -e \"require('fs').writeFileSync('words.json', JSON.stringify({built: process.env.WORD}))\""
    package = {"name": "x", "scripts": {"build": build_line, "start": "node server.js"}}
    build = viewed.source("web", package__json=json.dumps(package), server__js=NODE_SERVER)
    build = replace(build, args=(("WORD", "hello"),))
    web = viewed.add(Service(name="web", image="shop_web", build=build, expose=("3000",), networks=(DEFAULT,)))
    viewed.start(web)
    assert viewed.wait(web).state is HealthState.HEALTHY, viewed.texts(web)
    url = f"http://{viewed.engine.address(web, 1, viewed.context)}:3000"
    ask = f"require('http').get('{url}', answer => answer.pipe(process.stdout))"
    assert viewed.engine.execute("shop", "web", 1, ["node", "-e", ask]).output == "hello"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")
def test_node_dependencies_are_installed_once_and_shared(viewed: Stage) -> None:
    package = {
        "name": "x",
        "dependencies": {"is-number": "7.0.0"},
        "scripts": {"start": "node -p \"require('is-number')(5)\""},
    }
    build = viewed.source("web", package__json=json.dumps(package))
    web = viewed.add(Service(name="web", image="shop_web", build=build, networks=(DEFAULT,)))
    viewed.start(web)
    assert until(lambda: viewed.texts(web) == ["true"]), viewed.texts(web)
    viewed.source("web", extra__js="1")
    viewed.said.clear()
    _build(viewed, build)
    assert "Node packages: unchanged" in viewed.said


EVERYWHERE = {
    "python": "python3 -m http.server $PORT",
    "node": "node -e \"require('http').createServer((_, answer) => answer.end()).listen(process.env.PORT)\"",
}


@pytest.mark.parametrize("program", EVERYWHERE)
def test_programs_that_listen_on_every_address_run_side_by_side(viewed: Stage, program: str) -> None:
    if shutil.which(program.replace("python", "python3")) is None:
        pytest.skip(f"{program} is not installed")
    build = viewed.source("web", Procfile=f"web: {EVERYWHERE[program]}\n")
    web = viewed.add(Service(name="web", image="shop_web", build=build, expose=("8000",), networks=(DEFAULT,)))
    for slot in (1, 2):
        viewed.start(web, slot)
        assert viewed.wait(web, slot).state is HealthState.HEALTHY, viewed.texts(web)


def test_a_build_command_that_fails_shows_its_words(viewed: Stage) -> None:
    spec = ProcessSpec(service="web", command="true", build=("echo compiling", "echo broken by design >&2; exit 3"))
    engine = ProcessEngine(viewed.directory / "state", processes=(spec,))
    step = BuildImage(service="web", reference="shop_web", build=viewed.source("web", a__py=""))
    with pytest.raises(FailedError, match="broken by design") as caught:
        engine.perform(step, viewed.context, progress=viewed.said.append)
    assert "compiling" in viewed.said, "its words are told as they come"
    assert str(caught.value).startswith("web: `echo broken by design >&2; exit 3` failed with exit code 3")
    assert not list((viewed.directory / "state" / "images").glob("source-*/app")), "nothing half-done stays"
    assert engine.observe("shop", references=["shop_web"]).images == ()


def test_the_manifest_runs_an_image_that_is_not_known(viewed: Stage) -> None:
    source = viewed.source("mail", run__sh="echo mailing from $PWD; sleep 100")
    spec = ProcessSpec(service="mail", command="sh run.sh", source=source.context, environment=(("A", "b"),))
    viewed.engine = ProcessEngine(viewed.directory / "state", processes=(spec,))
    mail = viewed.add(Service(name="mail", image="axllent/mailpit:v1", networks=(DEFAULT,)))
    viewed.engine.perform(PullImage(reference=mail.image), viewed.context)
    viewed.start(mail)
    assert until(lambda: viewed.texts(mail) == ["mailing from /app"])


def test_old_releases_go_when_asked_and_those_in_use_stay(viewed: Stage) -> None:
    web = viewed.web()
    viewed.start(web)
    running = viewed.observed(web).image_id
    assert web.build
    made = []
    for number in range(2):
        viewed.source("web", extra__py=f"# {number}")
        made.append(_build(viewed, web.build))
    gone = {one.id: viewed.engine.discard(one) for one in viewed.engine.images_here()}
    assert gone == {running: False, **dict.fromkeys(made, True)}
    left = {path.name for path in (viewed.directory / "state" / "images").iterdir() if path.is_dir()}
    assert left == {running}


def test_a_context_elsewhere_is_refused(viewed: Stage) -> None:
    with pytest.raises(InputError, match="is not a directory on this server"):
        _build(viewed, Build(context="https://example.org/shop.git"))


def test_a_missing_image_is_told(viewed: Stage) -> None:
    web = viewed.web()
    with pytest.raises(FailedError, match="is not prepared on this server"):
        viewed.engine._starter.prepare(web, 1, viewed.context, fingerprint="x")
    assert not Path(viewed.directory / "state" / "replicas" / "shop").exists()
