"""Files that must exist, builds that would fail, and secrets that lie where others can read them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from havre.checks.binds import paths_of
from havre.checks.dockerfile import copied, instructions
from havre.errors import Severity
from havre.model.server import BuildFact, FileFacts, PathFact, VariableFact

BINDS = """\
services:
  prometheus:
    image: shop:1
    volumes:
      - ./prometheus/prometheus.yml:/etc/prometheus/prometheus.yml:ro
      - ./data:/data
      - {type: bind, source: ./strict, target: /strict, bind: {create_host_path: false}}
      - named:/named
    secrets: [token]
    configs: [inline]
volumes: {named: }
secrets: {token: {file: ./token.txt}}
configs: {inline: {content: hello}}
"""


def paths(**kinds: str) -> FileFacts:
    names = {
        "yml": "/srv/shop/prometheus/prometheus.yml",
        "data": "/srv/shop/data",
        "strict": "/srv/shop/strict",
        "token": "/srv/shop/token.txt",
    }
    similar = {"yml": ("/srv/shop/monitoring/prometheus/prometheus.yml",), "token": ("/elsewhere/token.txt",)}
    facts = [PathFact(path=names[key], kind=kind, similar=similar.get(key, ())) for key, kind in kinds.items()]
    return FileFacts(is_complete=True, paths=tuple(facts))


def test_the_paths_to_look_at_are_known_beforehand(judge: Any) -> None:
    assert paths_of(judge.case(BINDS).project) == (
        "/srv/shop/data",
        "/srv/shop/prometheus/prometheus.yml",
        "/srv/shop/strict",
        "/srv/shop/token.txt",
    )


def test_a_missing_file_names_a_similar_one(judge: Any) -> None:
    (problem,) = judge.problems("bind-missing", BINDS, files=paths(yml="missing", data="directory", token="file"))
    assert str(problem) == (
        "compose.yaml:5:9: prometheus: ./prometheus/prometheus.yml does not exist;"
        " it is mounted at /etc/prometheus/prometheus.yml\n"
        "    resolved to /srv/shop/prometheus/prometheus.yml\n"
        "    similar: ./monitoring/prometheus/prometheus.yml\n"
        "  effect: an empty directory would be created in its place\n"
        "  hint: did you mean ./monitoring/prometheus/prometheus.yml?"
    )
    assert problem.severity is Severity.ERROR


def test_a_directory_the_service_writes_is_only_warned_about(judge: Any) -> None:
    found = judge.problems("bind-missing", BINDS, files=paths(data="missing", strict="missing"))
    assert [(one.subject, one.severity, one.effect) for one in found] == [
        ("prometheus", Severity.ERROR, "the replica could not start"),
        ("prometheus", Severity.WARNING, "an empty directory would be created in its place"),
    ]


@pytest.mark.parametrize(("kind", "said"), [("missing", "does not exist"), ("directory", "is a directory, not a file")])
def test_the_file_of_a_secret_must_be_a_file(judge: Any, kind: str, said: str) -> None:
    assert judge.lines("bind-missing", BINDS, files=paths(token=kind)) == [
        f"compose.yaml:12:19: token: ./token.txt {said}; it is the file of secret token"
    ]


def test_a_directory_where_a_file_belongs_is_an_old_accident(judge: Any) -> None:
    found = judge.problems("bind-directory", BINDS, files=paths(yml="directory", data="directory"))
    assert [one.summary for one in found] == [
        "./prometheus/prometheus.yml is a directory, mounted where a file belongs: /etc/prometheus/prometheus.yml"
    ]


def test_files_nobody_looked_at_are_not_judged(judge: Any) -> None:
    assert judge.lines("bind-missing", BINDS) == []
    assert judge.lines("bind-directory", BINDS) == []


DOCKERFILE = r"""# syntax=docker/dockerfile:1
FROM node:20 AS base
COPY package.json package-lock.json ./
copy --chown=node:node [ "src", "conf*/", "./" ]
COPY --from=base /x /y
ADD https://example.org/a.tgz /a
COPY $WHERE /w
COPY <<EOF /hello
COPY not-an-instruction /
EOF
RUN npm \
    # a comment between
    ci \
    && true

COPY . .
COPY "unclosed /x
COPY [broken /x
COPY {"a": 1} /x
COPY \
"""


def test_a_dockerfile_is_read_with_its_continuations_and_documents() -> None:
    assert [(one.line, one.name) for one in instructions(DOCKERFILE)] == [
        (2, "FROM"), (3, "COPY"), (4, "COPY"), (5, "COPY"), (6, "ADD"), (7, "COPY"), (8, "COPY"), (11, "RUN"),
        (16, "COPY"), (17, "COPY"), (18, "COPY"), (19, "COPY"), (20, "COPY"),
    ]  # fmt: skip
    assert next(one.words for one in instructions(DOCKERFILE) if one.name == "RUN").split() == [
        "npm",
        "ci",
        "&&",
        "true",
    ]


def test_what_a_dockerfile_takes_from_its_context_is_listed_with_lines() -> None:
    assert [(one.line, one.source) for one in copied(DOCKERFILE)] == [
        (3, "package.json"), (3, "package-lock.json"), (4, "src"), (4, "conf*/"), (16, "."), (19, "{a:"), (19, "1}"),
    ]  # fmt: skip


def test_a_copy_list_that_is_no_list_takes_nothing() -> None:
    assert list(copied('COPY [1]\nCOPY ["a",')) == []


BUILD = "services: {web: {build: ./web}}"


def build(text: str | None, files: set[str] | None, **rest: Any) -> FileFacts:
    names = None if files is None else frozenset(files)
    fact = BuildFact(service="web", dockerfile="web/Dockerfile", text=text, files=names, **rest)
    return FileFacts(is_complete=True, builds=(fact,))


def test_every_missing_source_is_listed_with_the_line_of_the_dockerfile(judge: Any) -> None:
    text = (
        "FROM x\nCOPY requirements.txt conf/app.ini ./\nCOPY src/ /src\nCOPY *.toml /x\nCOPY hidden /h\nCOPY other /o"
    )
    files = build(text, {"requirement.txt", "etc/app.ini", "src/a.py"}, ignored=frozenset({"hidden/a", "deep/z.toml"}))
    found = judge.problems("build-source", BUILD, files=files)
    add = "add the file, or correct the path; it is relative to the context"
    assert [(str(one.at), one.summary, one.hint) for one in found] == [
        ("web/Dockerfile:2", "COPY conf/app.ini: it is not in the build context", "did you mean etc/app.ini?"),
        ("web/Dockerfile:2", "COPY requirements.txt: it is not in the build context", "did you mean requirement.txt?"),
        ("web/Dockerfile:4", "COPY *.toml: it is not in the build context", add),
        (
            "web/Dockerfile:5",
            "COPY hidden: .dockerignore keeps it from the builder",
            "add `!hidden` to .dockerignore, or do not copy it",
        ),
        ("web/Dockerfile:6", "COPY other: it is not in the build context", add),
    ]


def test_sources_that_are_there_raise_nothing(judge: Any) -> None:
    text = "FROM x\nCOPY . .\nCOPY /abs.txt ./src/ conf/*.ini s?c /x"
    assert judge.lines("build-source", BUILD, files=build(text, {"abs.txt", "src/a", "conf/a.ini"})) == []


def test_a_context_nobody_could_list_is_not_judged(judge: Any) -> None:
    files = build("FROM x\nCOPY a b\nRUN npm ci", None)
    assert judge.lines("build-source", BUILD, files=files) == []
    assert judge.lines("build-lock", BUILD, files=files) == []


def test_a_missing_context_or_dockerfile_is_told(judge: Any) -> None:
    assert judge.lines("build-context", BUILD, files=build(None, None, context_exists=False)) == [
        "compose.yaml:1:18: web: the build context /srv/shop/web does not exist".replace("/srv/shop/", "")
    ]
    assert judge.lines("build-context", BUILD, files=build(None, {"a"})) == [
        "compose.yaml:1:18: web: web/Dockerfile does not exist"
    ]
    assert judge.lines("build-context", BUILD, files=build("FROM x", {"a"})) == []
    (from_source,) = judge.problems("build-context", BUILD, files=build(None, {"Procfile", "app.py"}))
    assert "--engine process" in from_source.hint


def test_an_image_the_engine_cannot_run_is_told_with_those_it_can(judge: Any) -> None:
    compose = "services: {db: {image: postgres:15}, mail: {image: mailpit:1}, web: {build: .}}"

    def knows(image: str) -> str:
        return "" if image.startswith("postgres") else "postgres"

    assert judge.lines("image-unknown", compose, knows_images=knows) == [
        "compose.yaml:1:45: mail: the process engine does not know the image mailpit:1"
    ]
    manifest = "app: shop\nprocesses: {mail: {command: ./mailpit}}"
    assert judge.lines("image-unknown", compose, manifest, knows_images=knows) == []
    assert judge.lines("image-unknown", compose) == [], "Docker pulls what it does not have"


@pytest.mark.parametrize(
    ("run", "lock"),
    [
        ("npm ci", "package-lock.json"), ("pnpm i --frozen-lockfile", "pnpm-lock.yaml"),
        ("yarn install --immutable", "yarn.lock"), ("uv sync --locked --no-dev", "uv.lock"),
        ("poetry install", "poetry.lock"), ("pipenv sync", "Pipfile.lock"), ("bundle install", "Gemfile.lock"),
        ("cargo build --release --locked", "Cargo.lock"),
    ],
)  # fmt: skip
def test_a_build_that_relies_on_a_lock_file_needs_it(judge: Any, run: str, lock: str) -> None:
    text = f"FROM x\nRUN cd /app && {run}"
    (problem,) = judge.problems("build-lock", BUILD, files=build(text, {"a"}))
    assert lock in problem.summary
    assert str(problem.at) == "web/Dockerfile:2"
    assert judge.lines("build-lock", BUILD, files=build(text, {f"sub/{lock}"})) == []


@pytest.mark.parametrize("run", ["npm install", "pip install -r requirements.txt", "uv sync", "cargo build"])
def test_a_build_that_needs_no_lock_file_is_left_alone(judge: Any, run: str) -> None:
    assert judge.lines("build-lock", BUILD, files=build(f"FROM x\nRUN {run}\nCOPY npm ci", {"a"})) == []


PACKAGE = '{"dependencies": {"a": "^1", "b": "^2"}, "devDependencies": {"c": "1"}}'


@pytest.mark.parametrize(
    ("lock", "differing"),
    [
        ('{"packages": {"": {"dependencies": {"a": "^1", "b": "^2"}, "devDependencies": {"c": "1"}}}}', None),
        ('{"packages": {"": {"dependencies": {"a": "^1", "b": "^3", "d": "1"}}}}', "differing: b, c, d"),
        ('{"lockfileVersion": 1}', None),
        ("[]", None),
        ("not json", None),
    ],
)
def test_a_lock_file_out_of_step_names_the_packages(judge: Any, lock: str, differing: str | None) -> None:
    texts = (("app/package.json", PACKAGE), ("app/package-lock.json", lock))
    found = judge.problems("build-lock-step", BUILD, files=build("FROM x", {"a"}, texts=texts))
    assert [one.evidence[0] for one in found] == ([differing] if differing else [])
    if differing:
        assert str(found[0].at) == "web/app/package-lock.json"


def variables(**values: str) -> tuple[VariableFact, ...]:
    return tuple(VariableFact(name=name, value=value, file=".env", line=3) for name, value in values.items())


def test_a_secret_built_into_browser_code_is_refused_by_name_only(judge: Any) -> None:
    text = """\
services:
  web:
    build:
      context: .
      args: {NEXT_PUBLIC_SERVICE_KEY: abcdefghijkl, NEXT_PUBLIC_API_URL: 'https://a'}
    environment: {VITE_API_KEY: k-123, NEXT_PUBLIC_SUPABASE_ANON_KEY: eyJ, VITE_MODE: x}
"""
    facts = variables(NEXT_PUBLIC_JWT_SECRET="zzz-9", NEXT_PUBLIC_EMPTY_SECRET="", OTHER_SECRET="q")
    found = judge.problems("secret-in-browser", text, variables=facts)
    assert [(str(one.at), one.subject, one.severity) for one in found] == [
        (".env:3", "NEXT_PUBLIC_JWT_SECRET", Severity.ERROR),
        ("compose.yaml:5:14", "NEXT_PUBLIC_SERVICE_KEY", Severity.ERROR),
        ("compose.yaml:6:19", "VITE_API_KEY", Severity.WARNING),
    ]
    assert not any(value in str(found) for value in ("abcdefghijkl", "k-123", "zzz-9"))


def test_a_public_variable_with_a_secrets_value_is_a_leak_whatever_its_name(judge: Any) -> None:
    text = """\
services:
  api: {image: 'x:1', environment: {DB_PASSWORD: correct-horse-77, SHORT_SECRET: abc, ANON_KEY: eyJhbGciOi77}}
  web: {image: 'x:1', environment: {VITE_THING: correct-horse-77, VITE_B: abc, VITE_C: eyJhbGciOi77}}
"""
    (problem,) = judge.problems("secret-leaked", text)
    assert problem.summary == "VITE_THING, which browsers download, has the value of the secret DB_PASSWORD"
    assert "correct-horse" not in str(problem)


def test_a_secret_build_argument_is_warned_about(judge: Any) -> None:
    text = "services: {web: {build: {context: ., args: {NPM_TOKEN: t-1, VERSION: '1', EMPTY_TOKEN: ''}}}}"
    (problem,) = judge.problems("secret-in-image", text)
    assert (problem.subject, problem.severity) == ("web", Severity.WARNING)
    assert "NPM_TOKEN" in problem.summary


def test_what_git_tracks_is_told_by_kind_and_name(judge: Any) -> None:
    files = FileFacts(
        tracked=frozenset(f"/srv/shop/{name}" for name in (".env", "app.db", "tls/server.key", "clean.env"))
    )
    facts = variables(DB_PASSWORD="kx8812", LOG_LEVEL="info", JWT_SECRET="changeme")
    found = judge.problems("secret-in-git", "services: {a: {image: 'x:1'}}", files=files, variables=facts)
    assert [(one.summary, one.evidence) for one in found] == [
        ("git tracks .env, which holds secrets", ("variables: DB_PASSWORD",)),
        ("git tracks app.db, which looks like a database", ()),
        ("git tracks tls/server.key, which looks like a private key", ()),
    ]
    assert "kx8812" not in str(found)


def test_an_env_file_git_would_take_is_warned_about(judge: Any) -> None:
    files = FileFacts(exposed=frozenset({"/srv/shop/.env.prod"}))
    assert judge.lines("secret-not-ignored", "services: {a: {image: 'x:1'}}", files=files) == [
        ".env.prod: .env.prod is not ignored by git"
    ]


def test_a_listed_secret_in_the_clear_leads_to_the_sealed_store(judge: Any) -> None:
    facts = variables(JWT="kx8812", OTHER="y", EMPTY="")
    manifest = "app: shop\nsecrets: [JWT, EMPTY]"
    (problem,) = judge.problems("secret-in-file", "services: {a: {image: 'x:1'}}", manifest, variables=facts)
    assert (problem.subject, str(problem.at)) == ("JWT", ".env:3")
    assert "kx8812" not in str(problem)


def test_what_belongs_to_this_machine_is_told_where_everything_is_copied(judge: Any) -> None:
    text = "FROM node:20\nCOPY package.json ./\nCOPY . .\n"
    fact = BuildFact(
        service="web",
        dockerfile="web/Dockerfile",
        context="web",
        ignore_file="web/Dockerfile.dockerignore",
        text=text,
        of_this_machine=(".git", "node_modules"),
    )
    (found,) = judge.problems(
        "build-of-this-machine", "services: {web: {build: ./web}}", files=FileFacts(builds=(fact,))
    )
    assert str(found.at) == "web/Dockerfile:3"
    assert found.summary == "COPY . takes .git, node_modules of this machine along"
    assert found.hint == "write `**/.git` and `**/node_modules`, a line each, into web/Dockerfile.dockerignore"
    staged = "FROM golang:1 AS build\nCOPY . .\nRUN go build -o /a\nFROM scratch\nCOPY --from=build /a /a\n"
    others = (replace(fact, text=staged, of_this_machine=(".git",)), replace(fact, of_this_machine=()))
    for other in (replace(fact, text="FROM node:20\nCOPY src ./\n"), *others):
        files = FileFacts(builds=(other,))
        assert judge.problems("build-of-this-machine", "services: {web: {build: ./web}}", files=files) == []


def test_packages_of_this_machine_are_told_in_a_stage_that_only_builds_too(judge: Any) -> None:
    text = "FROM node:20 AS build\nRUN npm ci\nCOPY . .\nFROM nginx:1\nCOPY --from=build /dist /html\n"
    fact = BuildFact(service="web", dockerfile="Dockerfile", text=text, of_this_machine=(".git", "node_modules"))
    files = FileFacts(builds=(fact,))
    (found,) = judge.problems("build-of-this-machine", "services: {web: {build: .}}", files=files)
    assert found.summary == "COPY . takes node_modules of this machine along"
    assert found.effect == "what this machine installed hides what the build installs"
    (found,) = judge.problems(
        "build-of-this-machine", "services: {web: {build: {context: ., target: build}}}", files=files
    )
    assert ".git" in found.summary
