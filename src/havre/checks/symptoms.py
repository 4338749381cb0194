"""Reads the last log lines of a program for the class of its trouble: a table of words, and always called a guess."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

REACHING = frozenset({
    "refused", "no-such-host", "unreachable", "wrong-password", "not-ready", "too-many", "server-full", "not-let-in",
    "no-such-database", "no-such-role",
})  # fmt: skip
"""Classes whose cause lies in another service, or on the way to it."""

LONGEST = 300
"""Characters of a log line that are shown."""

_NAME = r"[\"'`]?(?P<name>[A-Z][A-Z0-9_]{2,})[\"'`]?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Symptom:
    """A class of trouble, in words, and the log line that shows it; `name` is the variable or module it is about."""

    kind: str
    words: str
    line: str
    at: float = 0.0
    name: str = ""


@dataclass(frozen=True, slots=True)
class _Class:
    kind: str
    words: str
    pattern: re.Pattern[str]


def _class(kind: str, words: str, pattern: str) -> _Class:
    return _Class(kind, words, re.compile(pattern, re.IGNORECASE))


def _exact(kind: str, words: str, pattern: str) -> _Class:
    return _Class(kind, words, re.compile(pattern))


_CLASSES = (
    _class(
        "wrong-password",
        "wrong password",
        r"password authentication failed|\bWRONGPASS\b|\bNOAUTH\b|invalid username-password pair"
        r"|access denied for user|authentication failed|ACCESS_REFUSED",
    ),
    _class(
        "not-ready",
        "the other side is still initialising",
        r"database system is (?:starting up|shutting down|not yet accepting)|\bLOADING\b.*dataset"
        r"|not yet accepting conn",
    ),
    _class(
        "too-many",
        "the server has no connection left",
        r"too many clients already|remaining connection slots|too many connections|max number of clients reached",
    ),
    _class(
        "server-full",
        "the server refuses to store more",
        r"OOM command not allowed|\bMISCONF\b|cannot execute .{1,40} in a read-only transaction"
        r"|\bREADONLY\b You can't write",
    ),
    _class(
        "not-let-in",
        "the server refuses this client",
        r"no pg_hba\.conf entry for host|\bDENIED\b Redis is running in protected mode"
        r"|Host '.+' is not allowed to connect|server does not support SSL|SSL is not enabled on the server"
        r"|no encryption",
    ),
    _exact(
        "no-such-database",
        "a database that does not exist:",
        r"(?i:database) \"(?P<name>[^\"]+)\" does not exist|Unknown database '(?P<name2>[^']+)'"
        r"|Database `(?P<name3>[^`]+)` does not exist",
    ),
    _exact("no-such-role", "a database user that does not exist:", r"role \"(?P<name>[^\"]+)\" does not exist"),
    _class(
        "pool-exhausted",
        "its own pool of connections is empty",
        r"waiting for (?:a )?connection|QueuePool limit|connection pool (?:is )?(?:exhausted|full|timeout)"
        r"|PoolTimeout|pool timed? ?out|couldn't get a connection after|ResourceRequest timed out"
        r"|timed out fetching a new connection from the connection pool|Connection is not available, request timed out"
        r"|timeout (?:exceeded )?when trying to connect|could not obtain a connection from the pool"
        r"|(?:acquir|get)\w* (?:a )?(?:pool(?:ed)? )?connection.{0,40}time(?:d )?out",
    ),
    _class(
        "no-such-host",
        "a host name that nobody has",
        r"\bENOTFOUND\b|\bEAI_AGAIN\b|name or service not known|failure in name resolution|no such host"
        r"|could not translate host name|nodename nor servname|host not found|UnknownHost|name does not resolve"
        r"|bad address '",
    ),
    _class("refused", "connection refused", r"\bECONNREFUSED\b|connection refused|connect\(\) failed \(111"),
    _class(
        "unreachable",
        "no way to the other side",
        r"\bETIMEDOUT\b|\bEHOSTUNREACH\b|\bENETUNREACH\b|no route to host|network is unreachable"
        r"|connect(?:ion|ing)? .{0,60}timed? ?out|TimeoutError: timed out|ConnectTimeout",
    ),
    _exact(
        "missing-variable",
        "missing environment variable",
        rf"KeyError: {_NAME}|(?i:env(?:ironment)?[ -]var(?:iable)?s?)[: ]+{_NAME.replace('name', 'name2')}"
        rf"|{_NAME.replace('name', 'name3')}:? (?:(?i:environment variable )?(?:is|was|must be|are) )"
        r"(?i:not set|required|missing|undefined|not defined|unset|set|empty)\b"
        rf"|{_NAME.replace('name', 'name4')}: (?:unbound variable|parameter not set)"
        r"|superuser password is not specified",
    ),
    _exact(
        "missing-library",
        "a shared library that the image lacks:",
        r"error while loading shared libraries: (?P<name>[\w.+-]+)|Error loading shared library (?P<name2>[\w.+-]+)"
        r"|(?P<name3>lib[\w.+-]+\.so[\w.]*): cannot open shared object file|version `(?P<name4>\w+_[\d.]+)' not found"
        r"|Error relocating (?P<name5>[^:\s]+):",
    ),
    _exact(
        "missing-module",
        "missing module",
        r"No module named [\"']?(?P<name>[\w.]+)|(?:Cannot find (?:module|package)|ERR_MODULE_NOT_FOUND)"
        r"(?: [\"'](?P<name2>[^\"']+))?|(?:ClassNotFoundException|NoClassDefFoundError): (?P<name3>[\w.$/]+)",
    ),
    _class(
        "incompatible-data",
        "the volume was written by another version",
        r"database files are incompatible with server|can't handle rdb format|unsupported redo log format",
    ),
    _class(
        "migration-failed",
        "a migration failed",
        r"current transaction is aborted|can't locate revision|migrat\w*.{0,80}(?:fail|error|abort)"
        r"|(?:fail|error)\w*.{0,60}migrat|relation \".+\" (?:does not|already) exist|no such table"
        r"|target database is not up to date",
    ),
    _class(
        "locked",
        "a lock that somebody else holds",
        r"lock timeout|lock wait timeout|could not obtain lock|trying to acquire a postgres advisory lock"
        r"|database is locked|deadlock detected|migrat\w+ lock|already (?:locked|running) by another",
    ),
    _class("port-in-use", "the port is in use inside", r"\bEADDRINUSE\b|address (?:is )?already in use"),
    _class("shared-memory", "its shared memory is too small", r"resize shared memory segment|/dev/shm.*no space left"),
    _class(
        "low-port",
        "a port under 1024, which its user may not open",
        r"(?:bind|listen).{0,60}(?:permission denied|EACCES)"
        r"|(?:permission denied|EACCES).{0,60}(?:bind|listen|0\.0\.0\.0:\d{1,3}\b)",
    ),
    _class("too-many-files", "its limit of open files", r"\bEMFILE\b|\bENFILE\b|too many open files"),
    _class(
        "too-many-processes",
        "its limit of processes and threads",
        r"can't start new thread|pthread_create.{0,40}(?:fail|resource)|unable to create (?:new )?native thread"
        r"|fork.{0,30}resource temporarily unavailable",
    ),
    _class("kernel-setting", "a setting of this server's kernel", r"vm\.max_map_count|virtual memory areas .* too low"),
    _class(
        "clock",
        "a clock that is wrong",
        r"not yet valid|used before issued|issued in the future|RequestTimeTooSkewed|clock (?:skew|drift)",
    ),
    _class(
        "data-directory",
        "a data directory that is not empty and not its own",
        r"directory .* exists but is not empty|lost\+found",
    ),
    _class("disk-full", "the disk is full", r"\bENOSPC\b|no space left on device|disk quota exceeded"),
    _class("read-only", "it writes where it may only read", r"\bEROFS\b|read-only file system"),
    _class("not-executable", "a program that may not be executed", r"exec\S*:? .{0,80}permission denied"),
    _exact(
        "permission-denied",
        "permission denied",
        r"(?i:EACCES|permission denied|EPERM|operation not permitted|unable to open database file)"
        r"(?:.{0,40}?[\"': ](?P<name>/[\w./-]+))?",
    ),
    _exact(
        "out-of-memory",
        "the program's own memory limit",
        r"heap out of memory|OutOfMemoryError|\bMemoryError\b|[Cc]annot allocate memory",
    ),
    _class("wrong-platform", "the image is for another processor", r"exec format error|cannot execute binary file"),
    _exact(
        "missing-interpreter",
        "a program, or what its first line names, is not there:",
        r"exec:? \"?(?P<name>/[\w./-]+)\"?: no such file or directory|(?P<name2>\S+): bad interpreter",
    ),
    _class(
        "missing-program",
        "a program that the image lacks",
        r"executable file not found|(?:^|: )(?P<name>[\w./-]+): (?:command )?not found$"
        r"|cannot start: No such file or directory: (?P<name2>\S+)",
    ),
    _class(
        "missing-file", "a file that is not there", r"FileNotFoundError|\bENOENT\b|no such file or directory"
    ),
    _exact(
        "bad-configuration",
        "a configuration it does not accept",
        r"\[emerg\]|FATAL CONFIG FILE ERROR|[Ii]nvalid configuration|[Ee]rror loading config|Bad directive"
        r"|unrecognized configuration parameter|ValidationError|yaml: |could not parse",
    ),
    _class(
        "tls",
        "a certificate that is not accepted",
        r"certificate verify failed|CERT_HAS_EXPIRED|x509: |self[- ]signed certificate|UNABLE_TO_VERIFY|unknown ca"
        r"|CERT_ALTNAME_INVALID|hostname mismatch|wrong version number",
    ),
    _exact("program-error", "an error in the program", r"\b\w*(?:Error|Exception)\b: |^panic: |Segmentation fault"),
)  # fmt: skip

_EXITS = {
    0: "it ended by itself, without an error",
    126: "its program may not be executed",
    127: "its program does not exist in the image",
    134: "it aborted",
    137: "it was killed",
    139: "it crashed in its own memory",
    143: "it was asked to stop",
}


def read_symptom(lines: Iterable[tuple[float, str]]) -> Symptom | None:
    """The class that the latest telling line shows; None when no line tells anything."""
    return next(_read(reversed(list(lines))), None)


def read_reaching(lines: Iterable[tuple[float, str]]) -> Symptom | None:
    """The same, of the classes that are about another service alone."""
    return next((found for found in _read(reversed(list(lines))) if found.kind in REACHING), None)


def read_kind(lines: Iterable[tuple[float, str]], kind: str) -> Symptom | None:
    """The same, of one class alone."""
    return next((found for found in _read(reversed(list(lines))) if found.kind == kind), None)


def exit_words(code: int | None) -> str:
    """`exit code 137: it was killed`."""
    if code is None:
        return "it does not run"
    return f"exit code {code}: {_EXITS[code]}" if code in _EXITS else f"exit code {code}"


def _read(lines: Iterable[tuple[float, str]]) -> Iterator[Symptom]:
    for at, line in lines:
        for one in _CLASSES:
            found = one.pattern.search(line)
            if found:
                yield Symptom(kind=one.kind, words=one.words, line=_shortened(line), at=at, name=_name(found))
                break


def _shortened(line: str) -> str:
    text = line.strip()
    return text if len(text) <= LONGEST else f"{text[:LONGEST].rstrip()}…"


def _name(found: re.Match[str]) -> str:
    if found[0] == "superuser password is not specified":
        return "POSTGRES_PASSWORD"
    return next((value for value in found.groupdict().values() if value), "")
