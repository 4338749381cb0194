"""What services are started with: words for a shell that nobody starts, and scripts that the kernel cannot run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from havre.model.observed import Observed, ObservedImage
from havre.model.server import BuildFact, FileFacts, PathFact, Script
from havre.workflows.sources import read_script

ENVIRONMENT = "environment: {REDIS_PASSWORD: 4f1c9a7be2}"


def compose(rest: str, image: str = "image: 'app:1'") -> str:
    return f"services: {{web: {{{image}, {rest}}}}}"


@pytest.mark.parametrize(
    ("rest", "said", "severity"),
    [
        ("command: [npm, run, x, '&&', npm, start]", "no shell reads its command: npm gets `&&` as it stands", "error"),
        ("command: [python, app.py, '>', /tmp/log]", "no shell reads its command: python gets `>`", "error"),
        ("entrypoint: [app], command: ['|', tee, x]", "no shell reads its command: app gets `|`", "error"),
        (
            f"command: [redis-server, --requirepass, $$REDIS_PASSWORD], {ENVIRONMENT}",
            "redis-server gets `$REDIS_PASSWORD` as it stands",
            "warning",
        ),
        (f"command: ['app', '--password=$${{REDIS_PASSWORD}}'], {ENVIRONMENT}", "app gets `--password=$", "warning"),
        (
            f"healthcheck: {{test: [CMD, redis-cli, -a, $$REDIS_PASSWORD, ping]}}, {ENVIRONMENT}",
            "no shell reads its healthcheck.test: redis-cli gets",
            "warning",
        ),
    ],
)
def test_words_for_a_shell_are_told_where_none_reads_them(judge: Any, rest: str, said: str, severity: str) -> None:
    (found,) = judge.problems("command-no-shell", compose(rest))
    assert said in found.summary
    assert found.severity.value == severity
    shell = '"CMD-SHELL"' if "healthcheck" in rest else '"sh", "-c"'
    assert found.hint == f'put the whole line into a shell: `[{shell}, "…"]`'
    assert "4f1c9a7be2" not in str(found)


@pytest.mark.parametrize("words", ["--requirepass, 4f1c9a7be2", "-u, 'redis://u:4f1c9a7be2@db'", "-a4f1c9a7be2"])
def test_what_a_line_for_a_shell_holds_is_not_repeated(judge: Any, words: str) -> None:
    (found,) = judge.problems("command-no-shell", compose(f"command: [redis-server, {words}, '&&', echo]"))
    assert "4f1c9a7be2" not in str((found.summary, found.evidence, found.hint, found.effect))


@pytest.mark.parametrize(
    "rest",
    [
        "command: [sh, -c, 'a && b > c']",
        "command: bash -ec 'a | b'",
        "entrypoint: [/bin/sh, -c], command: ['echo $$REDIS_PASSWORD && sleep 1']",
        f"healthcheck: {{test: [CMD-SHELL, 'redis-cli -a $$REDIS_PASSWORD ping']}}, {ENVIRONMENT}",
        "command: [find, /tmp, -exec, rm, '{}', ';']",
        "command: [envsubst, $$HOST], environment: {HOST: a}",
        "command: [app, --format, $$UNKNOWN]",
        "command: [app, --regexp, '^a|b$$']",
    ],
)
def test_what_a_shell_reads_and_what_is_no_variable_is_left_alone(judge: Any, rest: str) -> None:
    assert judge.problems("command-no-shell", compose(rest)) == []


BARE = Observed(instance="shop", images=(ObservedImage(reference="alpine:3", id="1", has_entrypoint=False),))


@pytest.mark.parametrize(
    ("rest", "there", "hint"),
    [
        ("command: bash -c 'sleep 1'", {"sh"}, "the image has `sh`: use that, or install `bash`"),
        ("command: [python3.12, main.py]", {"python3"}, "the image has `python3`: use that, or install `python3.12`"),
        ("command: [python, main.py]", {"python3"}, "the image has `python3`: use that, or install `python`"),
        ("entrypoint: [/usr/bin/nodejs, main.js]", {"node"}, "the image has `node`: use that"),
        ("command: pnpm start", set(), "install `pnpm` in the image"),
    ],
)
def test_an_interpreter_that_the_image_lacks_is_told_with_the_one_it_has(
    judge: Any, rest: str, there: set[str], hint: str
) -> None:
    text = compose(rest, "image: 'alpine:3'")
    (found,) = judge.problems("command-tool", text, observed=BARE, has_tool=lambda _service, name: name in there)
    assert found.hint.startswith(hint)
    assert judge.problems("command-tool", text, observed=BARE, has_tool=lambda _service, _name: None) == []


@pytest.mark.parametrize(
    ("image", "rest", "has_entrypoint"),
    [
        ("alpine:3", "command: bash -c x", True),
        ("alpine:3", "command: bash -c x", None),
        ("alpine:3", "command: serve", False),
        ("alpine:3", "command: bash, environment: {PATH: /opt/bin}", False),
        ("alpine:3", "command: /opt/bin/bash, volumes: ['./bin:/opt/bin']", False),
        ("node:20", "command: npm start", False),
    ],
)
def test_what_the_image_starts_itself_or_surely_has_is_not_judged(
    judge: Any, image: str, rest: str, has_entrypoint: bool | None
) -> None:
    seen = ObservedImage(reference=image, id="1", has_entrypoint=has_entrypoint)
    observed = Observed(instance="shop", images=(seen,))
    text = compose(rest, f"image: '{image}'")
    assert judge.problems("command-tool", text, observed=observed, has_tool=lambda _service, _name: False) == []


def built(*scripts: Script, text: str) -> FileFacts:
    fact = BuildFact(service="web", dockerfile="app/Dockerfile", context="app", scripts=scripts, text=text)
    return FileFacts(builds=(fact,))


WINDOWS, PLAIN = Script(name="bin/entry.sh", is_windows=True), Script(name="bin/entry.sh", is_executable=False)
FROM = "FROM python:3.12\nCOPY . /app\n"
RUNS_IT = f'{FROM}ENTRYPOINT ["/app/bin/entry.sh"]\n'


def test_a_script_from_windows_that_is_run_is_refused(judge: Any) -> None:
    build = compose("build: ./app", image="labels: {}")
    (found,) = judge.problems("script-line-ends", build, files=built(WINDOWS, text=RUNS_IT))
    assert str(found.at) == "app/bin/entry.sh:1"
    assert r"`sed -i 's/\r$//' app/bin/entry.sh`" in found.hint
    assert len(judge.problems("script-line-ends", build, files=built(WINDOWS, text=f"{FROM}RUN bin/entry.sh\n"))) == 1


@pytest.mark.parametrize("text", [FROM, RUNS_IT.replace("ENTRY", "RUN dos2unix /app/bin/*\nENTRY"), f"{FROM}CMD [x]"])
def test_a_script_from_windows_that_nobody_runs_or_somebody_repairs_is_left_alone(judge: Any, text: str) -> None:
    build = compose("build: ./app", image="labels: {}")
    assert judge.problems("script-line-ends", build, files=built(WINDOWS, text=text)) == []


@pytest.mark.parametrize(
    "run",
    ["RUN npm run build", "RUN python /app/bin/build", "RUN pip install build && rm a.txt", 'CMD ["build"]', "RUN x"],
)
def test_a_script_without_a_suffix_is_run_where_its_place_is_named(judge: Any, run: str) -> None:
    build, script = compose("build: ./app", image="labels: {}"), Script(name="bin/build", is_windows=True)
    assert judge.problems("script-line-ends", build, files=built(script, text=f"{FROM}{run}\n")) == []
    named = judge.problems("script-line-ends", build, files=built(script, text=f"{FROM}RUN cd /app && ./bin/build\n"))
    assert [str(one.at) for one in named] == ["app/bin/build:1"]


def test_of_several_scripts_of_one_name_only_the_build_knows_which_is_run(judge: Any) -> None:
    build, other = compose("build: ./app", image="labels: {}"), Script(name="other/entry.sh")
    assert judge.problems("script-line-ends", build, files=built(WINDOWS, other, text=RUNS_IT)) == []
    assert judge.problems("script-not-executable", build, files=built(PLAIN, other, text=RUNS_IT)) == []


@pytest.mark.parametrize(
    ("name", "rest", "text", "count"),
    [
        ("bin/www", "build: ./app", 'FROM node:20\nCMD ["bin/www"]\n', 0),
        ("bin/www", "build: ./app", 'FROM ruby:3\nCMD ["bin/www"]\n', 1),
        ("bin/www", "build: ./app", 'FROM node:20\nENTRYPOINT ["/app/bin/www"]\n', 1),
        ("start.sh", "build: ./app", 'FROM node:20\nCMD ["./start.sh"]\n', 1),
        ("start.sh", "build: ./app", 'FROM node:20\nRUN install -m755 start.sh /bin\nCMD ["start.sh"]\n', 0),
        ("bin/worker", "build: ./app, command: worker", 'FROM ruby:3\nENTRYPOINT ["/app/run"]\n', 0),
        ("bin/worker", "build: ./app, command: bin/worker", "FROM ruby:3\n", 1),
    ],
)
def test_only_what_the_kernel_is_given_must_be_executable(
    judge: Any, name: str, rest: str, text: str, count: int
) -> None:
    files = built(Script(name=name, is_executable=False), text=text)
    assert len(judge.problems("script-not-executable", compose(rest, image="labels: {}"), files=files)) == count


@pytest.mark.parametrize(("has_entrypoint", "count"), [(True, 0), (None, 0), (False, 1)])
def test_a_mounted_program_that_the_image_may_read_itself_is_left_alone(
    judge: Any, has_entrypoint: bool | None, count: int
) -> None:
    script = Script(name="bin/www", is_executable=False)
    files = FileFacts(paths=(PathFact(path="/srv/shop/www", kind="file", script=script),))
    image = ObservedImage(reference="app:1", id="1", has_entrypoint=has_entrypoint)
    text = compose("volumes: ['./www:/srv/www'], command: /srv/www")
    observed = Observed(instance="shop", images=(image,))
    assert len(judge.problems("script-not-executable", text, files=files, observed=observed)) == count


def test_what_a_container_starts_with_must_be_executable(judge: Any) -> None:
    build = compose("build: ./app", image="labels: {}")
    (found,) = judge.problems("script-not-executable", build, files=built(PLAIN, text=RUNS_IT))
    assert found.hint.startswith("`chmod +x app/bin/entry.sh`")
    through_sh = f'{FROM}ENTRYPOINT ["sh", "/app/bin/entry.sh"]\n'
    for text in (through_sh, RUNS_IT.replace("ENTRY", "RUN chmod 755 /app/bin/entry.sh\nENTRY")):
        assert judge.problems("script-not-executable", build, files=built(PLAIN, text=text)) == []
    assert judge.problems("script-not-executable", compose("build: ./app, entrypoint: [python]", image="labels: {}"),
                          files=built(PLAIN, text=RUNS_IT)) == []  # fmt: skip


@pytest.mark.parametrize(
    ("rest", "count"),
    [
        ("volumes: ['./init.sh:/docker-entrypoint-initdb.d/init.sh']", 1),
        ("volumes: ['./init.sh:/run.sh'], command: /run.sh", 1),
        ("volumes: ['./init.sh:/srv/downloads/run.sh']", 0),
    ],
)
def test_a_mounted_script_from_windows_counts_where_it_is_run(judge: Any, rest: str, count: int) -> None:
    script = Script(name="./init.sh", is_windows=True)
    files = FileFacts(paths=(PathFact(path="/srv/shop/init.sh", kind="file", script=script),))
    found = judge.problems("script-line-ends", compose(rest), files=files)
    assert len(found) == count
    assert all(str(problem.at).startswith("compose.yaml:1:") for problem in found)


def test_a_mounted_script_that_is_the_command_must_be_executable(judge: Any) -> None:
    script = Script(name="./init.sh", is_executable=False)
    files = FileFacts(paths=(PathFact(path="/srv/shop/init.sh", kind="file", script=script),))
    volumes = "volumes: ['./init.sh:/run.sh']"
    (found,) = judge.problems("script-not-executable", compose(f"{volumes}, command: /run.sh"), files=files)
    assert "`exec /run.sh: permission denied`" in found.effect
    assert judge.problems("script-not-executable", compose(f"{volumes}, command: [sh, /run.sh]"), files=files) == []


def test_a_script_is_known_by_its_first_line(tmp_path: Path) -> None:
    path = tmp_path / "x.sh"
    path.write_bytes(b"#!/bin/sh\r\necho\r\n")
    assert read_script(path, "x.sh") == Script(name="x.sh", is_windows=True, is_executable=False)
    path.write_bytes(b"#!/bin/sh\necho\r\n")
    path.chmod(0o755)
    assert read_script(path, "x.sh") == Script(name="x.sh")
    path.write_bytes(b"echo\r\n")
    assert read_script(path, "x.sh") is None
    assert read_script(tmp_path / "gone", "gone") is None
