"""Stands in for the entrypoint of the PostgreSQL image: prepares the database once, then becomes the server.

The environment is the image's (POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB, each also as *_FILE,
POSTGRES_INITDB_ARGS, PGDATA), and so is the directory of first scripts, /docker-entrypoint-initdb.d. Unlike
there, nobody is let in without a password, and a first start that is cut short leaves nothing behind that looks
like a database.
"""

from __future__ import annotations

import gzip
import lzma
import os
import shlex
import shutil
import subprocess  # noqa: TID251 - a program of its own, which runs inside a replica
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

Environment = Mapping[str, str]

UNFINISHED = ".havre-new"
"""Below PGDATA: a database that is still being prepared."""


class StartError(Exception):
    """Why the server cannot start, for its log."""


def main(arguments: Sequence[str]) -> int:
    """Become the PostgreSQL server; any other command is simply executed."""
    argv = list(arguments) or ["postgres"]
    if argv[0].startswith("-"):
        argv.insert(0, "postgres")
    if argv[0] != "postgres":
        _become(argv[0], argv)
    environment = dict(os.environ)  # noqa: TID251
    try:
        data = Path(environment["PGDATA"])
        prepare(data, environment)
    except (StartError, subprocess.CalledProcessError) as error:
        print(f"havre: {error}", file=sys.stderr)  # noqa: T201
        return 1
    _become(f"{environment['HAVRE_BIN']}/postgres", server_command(data, environment, argv[1:]))
    return 0


def server_command(data: Path, environment: Environment, options: Sequence[str]) -> list[str]:
    """The server's argv; where it listens is ours to say, so that comes last."""
    settings = {
        "listen_addresses": environment["HOST"],
        "port": environment["PORT"],
        "unix_socket_directories": environment["HAVRE_RUN"],
    }
    return ["postgres", "-D", str(data), *options, *(f"--{name}={value}" for name, value in settings.items())]


def prepare(data: Path, environment: Environment) -> None:
    """Make sure that `data` holds a database this server can run."""
    data.mkdir(parents=True, exist_ok=True)
    data.chmod(0o700)
    version = data / "PG_VERSION"
    if version.exists():
        _same_version(version.read_text().strip(), environment)
        _forget_dead_server(data)
        return
    unfinished = data / UNFINISHED
    if unfinished.exists():
        _empty(data)
    elif any(entry.name != "lost+found" for entry in data.iterdir()):
        raise StartError(f"{data} is neither empty nor a database; empty it or mount another volume there")
    _initialise(unfinished, environment)
    _move_in(unfinished, data)


def _become(program: str, argv: list[str]) -> None:
    os.execvp(program, argv)  # noqa: S606


def secret(environment: Environment, name: str, default: str = "") -> str:
    """The variable, or the content of the file that NAME_FILE names."""
    file = environment.get(f"{name}_FILE")
    if file and environment.get(name):
        raise StartError(f"both {name} and {name}_FILE are set; keep one")
    if file:
        return Path(file).read_text().rstrip("\n")
    return environment.get(name) or default


def _initialise(data: Path, environment: Environment) -> None:
    user = secret(environment, "POSTGRES_USER", "postgres")
    password = secret(environment, "POSTGRES_PASSWORD")
    database = secret(environment, "POSTGRES_DB", user)
    if not password:
        raise StartError(
            "POSTGRES_PASSWORD (or POSTGRES_PASSWORD_FILE) is not set; this engine lets nobody in without one"
        )
    _create(data, user, password, environment)
    with (data / "pg_hba.conf").open("a") as rules:
        rules.write("host all all all scram-sha-256\n")
    trusted = {
        **environment, "PGUSER": user, "PGPASSWORD": password, "PGHOST": environment["HAVRE_RUN"],
        "PGPORT": environment["PORT"], "PGDATABASE": database,
        "POSTGRES_USER": user, "POSTGRES_PASSWORD": password, "POSTGRES_DB": database,
    }  # fmt: skip
    with _Unpublished(data, trusted):
        if database != "postgres":
            quoted = database.replace('"', '""')
            _sql(f'CREATE DATABASE "{quoted}";', {**trusted, "PGDATABASE": "postgres"})
        for script in sorted(Path(environment["HAVRE_INITDB"]).glob("*")):
            _run_script(script, trusted)


def _create(data: Path, user: str, password: str, environment: Environment) -> None:
    reading, writing = os.pipe()
    os.write(writing, password.encode() + b"\n")
    os.close(writing)
    argv = [
        f"{environment['HAVRE_BIN']}/initdb", "-D", str(data), "--username", user, f"--pwfile=/dev/fd/{reading}",
        "--auth=scram-sha-256", "--encoding=UTF8", *shlex.split(environment.get("POSTGRES_INITDB_ARGS", "")),
    ]  # fmt: skip
    subprocess.run(argv, check=True, pass_fds=(reading,), stdin=subprocess.DEVNULL)
    os.close(reading)


class _Unpublished:
    """The server on its socket only, while the database is prepared."""

    def __init__(self, data: Path, environment: Environment) -> None:
        self._control = [f"{environment['HAVRE_BIN']}/pg_ctl", "-D", str(data), "-w", "-s"]
        self._environment = environment
        self._options = f"-c listen_addresses= -k {environment['HAVRE_RUN']} -p {environment['PORT']}"

    def __enter__(self) -> None:
        subprocess.run([*self._control, "-o", self._options, "start"], check=True, env=self._environment)

    def __exit__(self, *_: object) -> None:
        subprocess.run([*self._control, "-m", "fast", "stop"], check=True, env=self._environment)


def _run_script(script: Path, environment: Environment) -> None:
    print(f"havre: running {script}", flush=True)  # noqa: T201
    match script.suffixes[-2:]:
        case [*_, ".sh"]:
            argv = [str(script)] if os.access(script, os.X_OK) else [shutil.which("bash") or "/bin/sh", str(script)]
            subprocess.run(argv, check=True, env=environment)
        case [*_, ".sql"]:
            _sql(script.read_bytes(), environment)
        case [*_, ".sql", ".gz"]:
            _sql(gzip.decompress(script.read_bytes()), environment)
        case [*_, ".sql", ".xz"]:
            _sql(lzma.decompress(script.read_bytes()), environment)
        case _:
            print(f"havre: ignoring {script}: not .sh, .sql, .sql.gz or .sql.xz", flush=True)  # noqa: T201


def _sql(text: str | bytes, environment: Environment) -> None:
    content = text.encode() if isinstance(text, str) else text
    argv = [f"{environment['HAVRE_BIN']}/psql", "-v", "ON_ERROR_STOP=1", "--no-psqlrc", "--quiet"]
    subprocess.run(argv, check=True, input=content, env=environment)


def _move_in(unfinished: Path, data: Path) -> None:
    """PG_VERSION comes last: only a whole database has it."""
    for entry in sorted(unfinished.iterdir(), key=lambda entry: entry.name == "PG_VERSION"):
        entry.rename(data / entry.name)
    unfinished.rmdir()


def _empty(data: Path) -> None:
    for entry in data.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _same_version(found: str, environment: Environment) -> None:
    program = f"{environment['HAVRE_BIN']}/postgres"
    said = subprocess.run([program, "--version"], check=True, capture_output=True, text=True).stdout
    own = said.split()[-1] if "(" not in said else said.partition("(PostgreSQL)")[2].split()[0]
    if own.split(".")[0] != found:
        raise StartError(
            f"the data is of PostgreSQL {found}, this server is PostgreSQL {own}: install PostgreSQL {found}, "
            "or dump with the old server and restore into a new volume"
        )


def _forget_dead_server(data: Path) -> None:
    """A lock file may name a pid that today is somebody else's, another database's too; the server would not start."""
    lock = data / "postmaster.pid"
    if not lock.exists():
        return
    first = lock.read_text().split("\n", 1)[0].strip()
    if not first.isdigit() or not _works_in(int(first), data):
        lock.unlink()


def _works_in(pid: int, directory: Path) -> bool:
    """A server's working directory is its data; the path alone says nothing, every replica has its own view."""
    try:
        return Path(f"/proc/{pid}/cwd").samefile(directory)
    except OSError:  # there is no such process, or it is another user's
        return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
