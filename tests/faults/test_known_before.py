"""Faults that are known before anything is touched: a real deploy is refused, the message helps, nothing was made."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from command import run_havre
from ending import end_helpers
from second_engine import SecondEngine
from small_disk import small_disk

from havre.engines.docker.engine import DockerEngine

pytestmark = pytest.mark.docker

GOOD_DB = "db: {image: 'postgres:15-alpine', environment: {POSTGRES_PASSWORD: kx8812-a}, mem_limit: 64m}"
FREE_PORT = 47123


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What is written, and what the refusal must say; `hides` must not appear anywhere."""

    services: str
    says: tuple[str, ...]
    rest: str = ""
    manifest: str = ""
    env: str = ""
    files: dict[str, str] = field(default_factory=dict)
    tracked: tuple[str, ...] = ()
    """What git tracks."""
    hides: tuple[str, ...] = ()


FAULTS = {
    "F1 a port held by another program": Fault(
        services=f"web: {{image: 'nginx:alpine', ports: ['127.0.0.1:{FREE_PORT}:80'], mem_limit: 64m}}",
        says=(
            f"port {FREE_PORT}/tcp wanted by",
            f"is held by pid {os.getpid()} (",
            f'"127.0.0.1:{FREE_PORT + 1}:80"',
            "compose.yaml:2:",
        ),
    ),
    "F3 one port asked for twice": Fault(
        services="a: {image: 'nginx:alpine', ports: ['8099:80']}\n  b: {image: 'nginx:alpine', ports: ['8099:80']}",
        says=("compose.yaml:3:", "8099/tcp", "compose.yaml:2:"),
    ),
    "F4 a required password that is unset": Fault(
        services="db: {image: 'postgres:15-alpine', environment: {POSTGRES_PASSWORD: '${DB_PW:-}'}, mem_limit: 64m}",
        says=("POSTGRES_PASSWORD is required by postgres:15-alpine", "compose.yaml:2:", "secrets generate"),
    ),
    "F5 placeholders, all of them": Fault(
        services="web: {image: 'nginx:alpine', environment: {JWT_SECRET: '${JWT}', API_TOKEN: your-token-here}}",
        env="JWT=CHANGE_ME_now\n",
        says=(".env:1", "the value of JWT is a placeholder", "the value of API_TOKEN is a placeholder"),
        hides=("CHANGE_ME_now", "your-token-here"),
    ),
    "F6 a command in an env file": Fault(
        services="web: {image: 'nginx:alpine', environment: {JWT_SECRET: '${JWT}'}}",
        env="A=1\nJWT=$(openssl rand -hex 32)\n",
        says=(".env:2", "env files never run", "64 random hexadecimal characters"),
    ),
    "F8 passwords that differ": Fault(
        services=f"{GOOD_DB}\n  web: {{image: 'nginx:alpine', environment: "
        "{DATABASE_URL: 'postgres://postgres:zz7719-b@db/x'}}",
        says=("web and db disagree about the password", "compose.yaml:3:", "POSTGRES_PASSWORD at compose.yaml:2:"),
        hides=("kx8812-a", "zz7719-b"),
    ),
    "F10 a health check that cannot fail": Fault(
        services="kv: {image: 'redis:7-alpine', command: redis-server --requirepass kx8812-a, "
        "healthcheck: {test: [CMD, redis-cli, ping]}}",
        says=("cannot fail", "NOAUTH", "REDISCLI_AUTH", "grep -q PONG"),
        hides=("kx8812-a",),
    ),
    "F11 a default of two quotes": Fault(
        services="""kv: {image: 'redis:7-alpine', environment: {REDIS_PASSWORD: '${RPW:-""}'}}""",
        says=("is two quote characters", "write `${NAME:-}`"),
    ),
    "F12 a tool the image lacks": Fault(
        services="web: {image: 'python:3.11-slim', command: sleep 60, "
        "healthcheck: {test: [CMD, curl, -f, 'http://localhost:3000/']}}",
        says=("runs `curl`, which its image does not have", "the image has python3", "health check: curl -f"),
    ),
    "F31 a mounted file that is missing": Fault(
        services="web: {image: 'nginx:alpine', volumes: ['./nginx.conf:/etc/nginx/nginx.conf:ro']}",
        files={"deploy/nginx.conf": "events {}"},
        says=("./nginx.conf does not exist", "did you mean ./deploy/nginx.conf?", "compose.yaml:2:"),
    ),
    "F34 an external network that is missing": Fault(
        services="web: {image: 'nginx:alpine', networks: [backbone]}",
        rest="networks: {backbone: {external: true, name: no-such-net-77}}",
        says=("the external network no-such-net-77 does not exist", "docker network create no-such-net-77"),
    ),
    "F35 a subnet that overlaps": Fault(
        services="web: {image: 'nginx:alpine', networks: [n]}",
        rest="networks: {n: {ipam: {config: [{subnet: 172.17.0.0/24}]}}}",
        says=("subnet 172.17.0.0/24 of network n overlaps network bridge", "which is free here"),
    ),
    "F40 sources a build lacks": Fault(
        services="web: {build: {context: ./web}}",
        files={
            "web/Dockerfile": "FROM alpine\nCOPY requirements.txt a.ini ./\nRUN npm ci\n",
            "web/requirement.txt": "x",
        },
        says=(
            "web/Dockerfile:2",
            "COPY requirements.txt: it is not in the build context",
            "did you mean requirement.txt?",
            "COPY a.ini",
            "package-lock.json",
        ),
    ),
    "F43 a secret in browser code": Fault(
        services="web: {image: 'nginx:alpine', environment: {NEXT_PUBLIC_SERVICE_KEY: kx8812-a}}",
        says=("NEXT_PUBLIC_SERVICE_KEY is built into what browsers download", "rotate"),
        hides=("kx8812-a",),
    ),
    "F37 replicas that share a name": Fault(
        services="api: {image: 'nginx:alpine', container_name: public-api, deploy: {replicas: 3}}",
        says=("compose.yaml:2:", "container_name", "remove `container_name`"),
    ),
    "F43 secrets and a database in git": Fault(
        services="web: {image: 'nginx:alpine', environment: {JWT_SECRET: '${JWT}'}}",
        env="JWT=kx8812aa7719zz\n",
        files={"data/app.db": "x"},
        tracked=(".env", "data/app.db"),
        says=("git tracks .env, which holds secrets", "variables: JWT", "data/app.db", "`git rm --cached .env`"),
        hides=("kx8812aa7719zz",),
    ),
    "a service misspelt in depends_on": Fault(
        services=f"{GOOD_DB}\n  web: {{image: 'nginx:alpine', depends_on: [dbb]}}",
        says=("compose.yaml:3:", "depends_on.dbb", "did you mean `db`?"),
    ),
    "a path in the wrong case": Fault(
        services="web: {image: 'nginx:alpine', volumes: ['./Conf/nginx.conf:/etc/nginx/nginx.conf:ro']}",
        files={"conf/nginx.conf": "events {}"},
        says=("./Conf/nginx.conf does not exist", "did you mean ./conf/nginx.conf?"),
    ),
    "a health check with a way out": Fault(
        services="web: {image: 'nginx:alpine', healthcheck: {test: 'wget -q --spider http://localhost || true'}}",
        says=("its health check always succeeds", "|| true", "compose.yaml:2:"),
    ),
    "a port inside the range of another": Fault(
        services="a: {image: 'nginx:alpine', ports: ['47200-47202:80-82']}\n"
        "  b: {image: 'nginx:alpine', ports: ['127.0.0.1:47201:80']}",
        says=("port 47201/tcp is already published by `a`", "compose.yaml:2:", "compose.yaml:3:"),
    ),
    "one port for every address, and again for one": Fault(
        services="a: {image: 'nginx:alpine', ports: ['[::]:47210:80', '47210:80']}\n"
        "  b: {image: 'nginx:alpine', ports: ['[::1]:47210:80']}",
        says=("port 47210/tcp is already published by `a`", "compose.yaml:3:", "a publishes it at compose.yaml:2:"),
    ),
    "a database on localhost, a script from Windows, and words for a shell": Fault(
        services=f"{GOOD_DB}\n  web: {{build: ./web, environment: {{DATABASE_URL: 'postgres://db_user@localhost/x'}}}}\n"
        "  job: {image: 'alpine', command: [echo, a, '&&', echo, b], mem_limit: 64m}\n"
        "  tool: {image: 'nginx:alpine', entrypoint: [fish, -c, x], mem_limit: 64m}",
        files={
            "web/Dockerfile": 'FROM alpine\nCOPY entry.sh /\nENTRYPOINT ["/entry.sh"]\n',
            "web/entry.sh": "#!/bin/sh\r\necho\r\n",
        },
        says=(
            "compose.yaml:3:",
            "DATABASE_URL looks for db on localhost, which is web itself",
            "write `db` where it says",
            "web/entry.sh:1",
            "web/entry.sh has Windows line ends",
            "`sed -i 's/\\r$//' web/entry.sh`",
            "web/entry.sh is what it is started with, and nobody may execute it",
            "`chmod +x web/entry.sh`",
            "compose.yaml:5:",
            "it is started with `fish`, which its image does not have",
            "install `fish` in the image",
            "compose.yaml:4:",
            "no shell reads its command: echo gets `&&` as it stands",
            '`["sh", "-c", "…"]`',
        ),
    ),
    "a published port between services": Fault(
        services="api: {image: 'nginx:alpine', ports: ['127.0.0.1:47231:80'], mem_limit: 64m}\n"
        "  web: {image: 'nginx:alpine', environment: {BACKEND: 'http://api:47231'}, mem_limit: 64m}",
        says=("compose.yaml:3:", "BACKEND asks api on 47231, where it listens only outside", "write `api:80`"),
    ),
    "a host that is an address of a page": Fault(
        services="web: {image: 'nginx:alpine'}",
        manifest="routes: [{host: 'https://Shop.Example.org/', to: web:80}]\n",
        says=("havre.yaml:2:", "is not a host name", "`app.example.org`"),
    ),
    "a secret whose file is missing, beside a configuration to try": Fault(
        services="web: {image: 'nginx:alpine', secrets: [token], volumes: ['./site.conf:/etc/nginx/conf.d/a.conf:ro']}",
        rest="secrets: {token: {file: ./tokn.txt}}",
        files={"site.conf": "server { listen 80; }\n", "token.txt": "x"},
        says=("./tokn.txt does not exist; it is the file of secret token", "did you mean ./token.txt?"),
    ),
    "a route to a service that is not there": Fault(
        services="web: {image: 'nginx:alpine'}",
        manifest="routes: [{host: Shop.Example.org., to: wbe:80}]\n",
        says=("there is no service `wbe`", "did you mean `web`?", "havre.yaml:2:"),
    ),
}


@pytest.fixture
def held_port() -> Iterator[None]:
    with socket.create_server(("127.0.0.1", FREE_PORT)):
        yield


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.usefixtures("held_port")
def test_a_fault_is_explained_before_anything_is_touched(name: str, tmp_path: Path) -> None:
    fault, instance = FAULTS[name], f"f{uuid.uuid4().hex[:8]}"
    (tmp_path / "compose.yaml").write_text(f"services:\n  {fault.services}\n{fault.rest}\n")
    (tmp_path / "havre.yaml").write_text(f"app: {instance}\n{fault.manifest}")
    (tmp_path / ".env").write_text(fault.env)
    for path, text in fault.files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(text.encode())
    if fault.tracked:
        subprocess.run(["git", "init", "-q", tmp_path], check=True)
        subprocess.run(["git", "-C", tmp_path, "add", "-f", *fault.tracked], check=True)
    before = _things()
    done = _deploy(tmp_path)
    said = done.stdout + done.stderr
    assert done.returncode in (2, 3), said
    for words in fault.says:
        assert words in said, said
    assert "hint:" in said
    assert not any(hidden in said for hidden in fault.hides)
    assert not {thing for thing in _things() - before if instance in thing}, "nothing was made"


def test_what_the_server_has_no_more_of_is_counted_before(tmp_path: Path) -> None:
    """An engine of its own, whose disk is small and whose subnets are two."""
    options = ("--default-address-pool=base=10.98.0.0/23,size=24", "--bip=10.97.0.1/24")
    with small_disk(tmp_path / "engine", "800m") as home:
        engine = SecondEngine(home, live_restore=False, options=options)
        try:
            (tmp_path / "compose.yaml").write_text(
                "services: {web: {image: 'nginx:1', networks: [a, b, c]}}\nnetworks: {a: {}, b: {}, c: {}}\n"
            )
            (tmp_path / "havre.yaml").write_text("app: scant\n")
            done = _deploy(tmp_path, DOCKER_HOST=engine.host)
            shown = _havre(tmp_path, "budget", DOCKER_HOST=engine.host)
        finally:
            engine.close()
    said = done.stderr
    assert done.returncode == 3, said
    assert "2 of the engine's subnets are left, and 3 are needed" in said
    assert "its pools: 10.98.0.0/23" in said
    assert f"the disk of {home}/data lacks" in said
    for line in (r"kept free +512 MiB", r"nginx:1 +400 MiB  to pull; assumed", r"missing +\d+"):
        assert re.search(line, said), said
    assert "`havre prune`" in said
    assert shown.returncode == 3
    assert re.search(r"nginx:1 +400 MiB  to pull; assumed", shown.stdout), shown.stdout


def test_builds_and_files_are_counted_on_the_disk_of_the_process_engine(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src/Dockerfile").write_text("FROM python:3.11-slim\nCOPY . .\nCMD python app.py\n")
    with (tmp_path / "src/big").open("wb") as file:
        file.truncate(200 * 1024**2)
    (tmp_path / "compose.yaml").write_text("services: {web: {build: ./src}}\n")
    (tmp_path / "havre.yaml").write_text("app: roomy\n")
    with small_disk(tmp_path / "state", "600m,nr_inodes=900"):
        done = _havre(tmp_path, "deploy", "-y", "--engine", "process")
        assert done.returncode == 3, done.stderr
        end_helpers(tmp_path / "state")
        assert re.search(r"roomy/web +200 MiB  to build; its context", done.stderr), done.stderr
        assert "more files, however much room it has" in done.stderr
        assert not list((tmp_path / "state/process").glob("images/*")), "nothing was built"


def _deploy(directory: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return _havre(directory, "deploy", "-y", "--engine", "docker", **variables)


def _havre(directory: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return run_havre(directory, *arguments, check=False, columns=400, variables=variables)


def _things() -> set[str]:
    """The names of every container, network and volume of the engine."""
    client = DockerEngine().client
    containers = client.get("/containers/json", {"all": True}, doing="list")
    networks = client.get("/networks", doing="list")
    volumes = client.get("/volumes", doing="list")["Volumes"] or []
    return {
        *(name for entry in containers for name in entry["Names"]),
        *(entry["Name"] for entry in networks),
        *(entry["Name"] for entry in volumes),
    }
