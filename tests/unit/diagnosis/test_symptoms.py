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
    ("permission-denied", "PermissionError: [Errno 13] Permission denied: '/data/db'", "/data/db"),
    ("permission-denied", "Error: EACCES: permission denied, open '/app/cache/x'", "/app/cache/x"),
    ("permission-denied", "sqlite3.OperationalError: unable to open database file", ""),
    ("server-full", "OOM command not allowed when used memory > 'maxmemory'.", ""),
    ("server-full", "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist", ""),
    ("not-let-in", "DENIED Redis is running in protected mode because protected mode is enabled", ""),
    ("not-let-in", 'FATAL:  no pg_hba.conf entry for host "172.18.0.4", user "app", database "app"', ""),
    ("not-let-in", "server does not support SSL, but SSL was required", ""),
    ("no-such-database", 'FATAL:  database "shopp" does not exist', "shopp"),
    ("no-such-database", "(1049, \"Unknown database 'shopp'\")", "shopp"),
    ("no-such-role", 'FATAL:  role "ap" does not exist', "ap"),
    ("pool-exhausted", "sqlalchemy.exc.TimeoutError: QueuePool limit of size 5 overflow 10 reached", ""),
    ("pool-exhausted", "asyncpg: waiting for connection from pool", ""),
    ("pool-exhausted", "psycopg_pool.PoolTimeout: couldn't get a connection after 30.00 sec", ""),
    ("pool-exhausted", "HikariPool-1 - Connection is not available, request timed out after 30000ms.", ""),
    ("pool-exhausted", "Timed out fetching a new connection from the connection pool.", ""),
    ("missing-library", "app: error while loading shared libraries: libpq.so.5: cannot open it", "libpq.so.5"),
    ("missing-library", "ImportError: libGL.so.1: cannot open shared object file: No such file", "libGL.so.1"),
    ("missing-library", "/lib/libc.so.6: version `GLIBC_2.34' not found (required by app)", "GLIBC_2.34"),
    ("locked", "Error: P1002 Timed out trying to acquire a postgres advisory lock (SELECT pg_advisory_lock(1))", ""),
    ("locked", "sqlite3.OperationalError: database is locked", ""),
    ("low-port", "nginx: [emerg] bind() to 0.0.0.0:80 failed (13: Permission denied)", ""),
    ("low-port", "Error: listen EACCES: permission denied 0.0.0.0:80", ""),
    ("too-many-files", "OSError: [Errno 24] Too many open files: '/dev/null'", ""),
    ("too-many-processes", "RuntimeError: can't start new thread", ""),
    ("kernel-setting", "max virtual memory areas vm.max_map_count [65530] is too low", ""),
    ("clock", "jwt.exceptions.ImmatureSignatureError: The token is not yet valid (iat)", ""),
    ("data-directory", 'initdb: error: directory "/var/lib/postgresql/data" exists but is not empty', ""),
    ("shared-memory", "ERROR:  could not resize shared memory segment: No space left on device", ""),
    ("not-executable", "exec /app/start.sh: permission denied", ""),
    ("missing-interpreter", "exec /docker-entrypoint.sh: no such file or directory", "/docker-entrypoint.sh"),
    ("tls", "ssl.SSLCertVerificationError: certificate verify failed: self-signed certificate", ""),
    ("tls", "Error: self signed certificate in certificate chain", ""),
    ("out-of-memory", "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory", ""),
    ("wrong-platform", "exec /usr/local/bin/app: exec format error", ""),
    ("missing-program", "/bin/sh: curl: not found", "curl"),
    ("missing-program", "havre: cannot start: No such file or directory: python", "python"),
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
