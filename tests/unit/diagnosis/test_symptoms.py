"""The table of log lines: each class on lines as programs really write them, and nothing in ordinary ones."""

from __future__ import annotations

import pytest

from havre.checks.symptoms import exit_words, read_reaching, read_symptom

SAID = [
    ("wrong-password", 'FATAL:  password authentication failed for user "app"', ""),
    ("wrong-password", "redis.exceptions.AuthenticationError: WRONGPASS invalid username-password pair", ""),
    ("wrong-password", "NOAUTH Authentication required.", ""),
    ("wrong-password", "Access denied for user 'app'@'172.18.0.4' (using password: YES)", ""),
    ("not-ready", "FATAL:  the database system is starting up", ""),
    ("not-ready", "LOADING Redis is loading the dataset in memory", ""),
    ("too-many", "FATAL:  sorry, too many clients already", ""),
    ("no-such-host", "Error: getaddrinfo ENOTFOUND db", ""),
    ("no-such-host", "urllib.error.URLError: <urlopen error [Errno -2] Name or service not known>", ""),
    ("no-such-host", 'could not translate host name "db" to address: Temporary failure in name resolution', ""),
    ("no-such-host", "dial tcp: lookup db on 127.0.0.11:53: no such host", ""),
    ("no-such-host", 'nginx: [emerg] host not found in upstream "backend" in /etc/nginx/nginx.conf:5', ""),
    ("refused", "Error: connect ECONNREFUSED 172.18.0.3:5432", ""),
    ("refused", "connection to server at \"db\" (172.18.0.3), port 5432 failed: Connection refused", ""),
    ("unreachable", "OSError: [Errno 113] No route to host", ""),
    ("missing-variable", "KeyError: 'JWT_SECRET' is not set", "JWT_SECRET"),
    ("missing-variable", "KeyError: 'JWT_SECRET'", "JWT_SECRET"),
    ("missing-variable", "Error: JWT_SECRET is required", "JWT_SECRET"),
    ("missing-variable", "Missing environment variable: DATABASE_URL", "DATABASE_URL"),
    ("missing-variable", "/start.sh: line 3: REDIS_URL: unbound variable", "REDIS_URL"),
    ("missing-variable", "Error: superuser password is not specified.", "POSTGRES_PASSWORD"),
    ("missing-module", "ModuleNotFoundError: No module named 'psycopg'", "psycopg"),
    ("missing-module", "Error: Cannot find module 'express'", "express"),
    ("incompatible-data", "FATAL:  database files are incompatible with server", ""),
    ("migration-failed", "psycopg.errors.InFailedSqlTransaction: current transaction is aborted", ""),
    ("migration-failed", "alembic.util.exc.CommandError: Can't locate revision identified by 'ab12'", ""),
    ("port-in-use", "Error: listen EADDRINUSE: address already in use :::3000", ""),
    ("disk-full", 'could not write to file "pg_wal/xlogtemp.29": No space left on device', ""),
    ("read-only", "OSError: [Errno 30] Read-only file system: '/app/cache'", ""),
    ("permission-denied", "PermissionError: [Errno 13] Permission denied: '/data/db'", ""),
    ("out-of-memory", "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory", ""),
    ("wrong-platform", "exec /usr/local/bin/app: exec format error", ""),
    ("missing-program", "/bin/sh: curl: not found", "curl"),
    ("missing-file", "FileNotFoundError: [Errno 2] No such file or directory: '/etc/app.toml'", ""),
    ("bad-configuration", "*** FATAL CONFIG FILE ERROR (Redis 7.2.4) ***", ""),
    ("tls", "requests.exceptions.SSLError: certificate verify failed: certificate has expired", ""),
    ("program-error", "ValueError: invalid literal for int() with base 10: 'x'", ""),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "line", "name"), SAID)
def test_a_line_has_its_class(kind: str, line: str, name: str) -> None:
    found = read_symptom([(1.0, "listening"), (2.0, line), (3.0, "bye")])
    assert found is not None
    assert (found.kind, found.line, found.at) == (kind, line, 2.0)
    assert found.name == name


@pytest.mark.parametrize(
    "line",
    [
        "INFO listening on 0.0.0.0:8000",
        '10.0.0.1 - - "GET /migrations HTTP/1.1" 200',
        "database system is ready to accept connections",
        "Ready to accept connections tcp",
        "LOG:  checkpoint complete: wrote 3 buffers",
    ],
)
def test_an_ordinary_line_tells_nothing(line: str) -> None:
    assert read_symptom([(1.0, line)]) is None


def test_the_latest_telling_line_counts() -> None:
    lines = [(1.0, "connect ECONNREFUSED 172.18.0.3:5432"), (2.0, "KeyError: 'JWT_SECRET'"), (3.0, "exiting")]
    found, reaching = read_symptom(lines), read_reaching(lines)
    assert found is not None
    assert found.kind == "missing-variable"
    assert reaching is not None
    assert reaching.kind == "refused"


def test_exit_codes_are_told_in_words() -> None:
    assert exit_words(127) == "exit code 127: its program does not exist in the image"
    assert exit_words(3) == "exit code 3"
    assert exit_words(None) == "it does not run"
