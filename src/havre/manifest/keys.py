"""Every key of havre.yaml in one table: validation, the JSON Schema and the reference page are all read from it."""

from __future__ import annotations

from havre.manifest.shapes import (
    COMMAND,
    CRON,
    DATE,
    DURATION,
    FLAG,
    HASH,
    HOST,
    INTERVAL,
    JSON,
    LINK,
    NAME,
    NETWORK,
    OS,
    PATH,
    PROGRAM,
    RATE,
    REQUEST,
    SERVICE,
    SIZE,
    TARGET,
    TEXT,
    VARIABLE,
    VERSION,
    Items,
    Key,
    Named,
    Record,
    choice,
    whole,
)

METHODS = ("get", "post", "put", "patch", "delete", "head")

ROUTE = Record(
    title="route",
    one_of=("to", "redirect"),
    keys={
        "host": Key(HOST, "The host name the route answers for.", required=True, example="app.example.org"),
        "path": Key(PATH, "The path prefix, in whole segments; the longest that matches wins.", default="/"),
        "to": Key(TARGET, "The service that answers, and its port inside the container.", example="backend:8000"),
        "redirect": Key(LINK, "Answer with a redirect to this address instead; the request's path is kept."),
        "strip": Key(FLAG, "Remove `path` from the request before the service sees it.", default="false"),
        "rate_limit": Key(RATE, "Requests per client address; more are answered 429.", example="100/minute"),
        "max_body": Key(SIZE, "The largest request body; more is answered 413.", example="20MB"),
        "timeout": Key(DURATION, "How long the service may take to begin its answer.", default="60s"),
        "websocket_timeout": Key(DURATION, "How long an open websocket may be silent.", default="1h"),
        "balance": Key(choice("leastconn", "roundrobin"), "How replicas take turns.", default="leastconn"),
        "sticky": Key(FLAG, "Keep a browser on the replica that answered it first.", default="false"),
        "basic_auth": Key(
            Named(HASH, "user", when_empty="let everybody in without a login"),
            "Users who may enter, with the hash of their password.",
        ),
        "allow": Key(
            Items(NETWORK, one_ok=True, when_empty="let everybody in"),
            "Addresses or networks that may use the route.",
            default="everybody",
        ),
        "headers": Key(Named(TEXT, "header", empty_ok=True), "Answer headers to set; an empty one removes a default."),
        "cache": Key(DURATION, "Keep answers that allow it for so long, at the edge.", example="5m"),
        "compress": Key(FLAG, "Compress answers that are text.", default="false"),
        "maintenance": Key(FLAG, "Answer 503 with a maintenance page.", default="false"),
        "https_redirect": Key(FLAG, "Send http:// requests to https://.", default="true"),
    },
)

MIGRATION = Record(
    title="migration",
    keys={
        "service": Key(SERVICE, "The service whose new image runs the command.", required=True),
        "run": Key(
            COMMAND, "The migration; the release stops when it fails.", required=True, example="alembic upgrade head"
        ),
        "undo": Key(
            COMMAND,
            "What takes the schema back, run by `havre rollback --undo` only; `{revision}` is where to.",
            example="alembic downgrade -1",
        ),
        "head": Key(
            COMMAND,
            "Prints the current revision, recorded in the release.",
            default="what the migration tool wrote into the database",
        ),
        "timeout": Key(DURATION, "How long it may take.", default="10m"),
        "safeguard": Key(FLAG, "Take a verified backup first.", default="true"),
        "safeguard_services": Key(Items(SERVICE, one_ok=True), "What that backup covers.", default="all in `backups`"),
        "safeguard_limit": Key(SIZE, "A service that holds more than this is migrated without a backup first."),
    },
)

EXPECT = Record(
    title="expected answer",
    short="status",
    keys={
        "status": Key(whole(100, 599), "The status code.", default="200"),
        "json": Key(Named(JSON, "key"), "Values the JSON body must contain; nested or with dotted keys."),
        "contains": Key(TEXT, "Text the body must contain."),
    },
)

VERIFICATION = Record(
    title="verification",
    short="get",
    one_of=METHODS,
    keys={
        **{method: Key(REQUEST, f"The path to {method.upper()}.") for method in METHODS},
        "host": Key(HOST, "The host name asked for.", default="the first route's"),
        "body": Key(JSON, "The request's body: text as it is, anything else as JSON."),
        "headers": Key(Named(TEXT, "header"), "Request headers."),
        "expect": Key(EXPECT, "What the answer must be.", default="status 200"),
        "timeout": Key(DURATION, "How long the answer may take.", default="10s"),
        "retries": Key(whole(0, 100), "How often it is tried again.", default="2"),
    },
)

RELEASE = Record(
    title="release",
    keys={
        "migrate": Key(MIGRATION, "The migration of the database schema, run before any new replica starts."),
        "verify": Key(Items(VERIFICATION), "Requests that must be answered as said before a release counts as done."),
    },
)

KEEP = Record(
    title="retention",
    keys={
        "last": Key(whole(0), "The newest so many.", default="0"),
        "daily": Key(whole(0), "The newest of so many days.", default="7"),
        "weekly": Key(whole(0), "The newest of so many weeks.", default="0"),
        "monthly": Key(whole(0), "The newest of so many months.", default="0"),
        "minimum": Key(whole(1), "Good snapshots that stay whatever their age.", default="3"),
    },
)

PITR = Record(
    title="point-in-time recovery",
    short="enabled",
    keys={
        "enabled": Key(FLAG, "Whether it is done.", default="true"),
        "ship": Key(DURATION, "How often the log goes to the repositories: what a lost server may cost.", default="5m"),
        "base": Key(DURATION, "How old the newest base backup may become before another is taken.", default="24h"),
        "keep": Key(DURATION, "How far back any moment can be restored.", default="168h"),
        "limit": Key(SIZE, "How much log may wait here unshipped before it is given up.", default="4GB"),
    },
)

_KINDS = choice("postgres", "mysql", "redis", "volume", "command")

BACKUP = Record(
    title="backup",
    short="schedule",
    keys={
        "schedule": Key(CRON, "When, in the server's time zone.", default="only when asked", example='"0 2 * * *"'),
        "kind": Key(_KINDS, "How it is taken.", default="by the image"),
        "keep": Key(KEEP, "How many are kept."),
        "to": Key(Items(TEXT, one_ok=True), "Where to: restic repositories.", default="the server's own"),
        "databases": Key(Items(TEXT, one_ok=True), "Which databases.", default="all"),
        "volumes": Key(Items(TEXT, one_ok=True), "Which volumes of the service.", default="all it writes"),
        "command": Key(COMMAND, "Writes the backup to its standard output (`kind: command`)."),
        "directory": Key(TEXT, "What `command` writes in this directory of the replica is kept, not its output."),
        "restore_command": Key(COMMAND, "Reads a backup from its standard input, or from `directory`."),
        "drill": Key(INTERVAL, "How often a restore is proven: daily, weekly, monthly or a cron schedule."),
        "assert": Key(Items(TEXT, one_ok=True), "Queries that must answer true in the restored copy."),
        "pitr": Key(PITR, "Keep the write-ahead log too, to restore any moment (PostgreSQL).", default="false"),
        "rpo": Key(DURATION, "How much may be lost at most; more raises an alert.", example="24h"),
        "rto": Key(DURATION, "How long a restore may take; more raises an alert.", example="4h"),
    },
)

TLS = Record(
    title="certificates",
    short="mode",
    keys={
        "mode": Key(
            choice("auto", "acme", "own", "self-signed", "off"),
            "`auto` is ACME, self-signed for local names; `off`: another proxy ends TLS.",
            default="auto",
        ),
        "certificate": Key(TEXT, "The PEM file of the certificate and its chain (`mode: own`)."),
        "key": Key(TEXT, "The PEM file of its private key (`mode: own`)."),
        "dns_hook": Key(TEXT, "A command that sets DNS records, for wildcard names."),
    },
)

WAIVER = Record(
    title="waiver",
    keys={
        "check": Key(TEXT, "The id of the check.", required=True, example="ports-public"),
        "reason": Key(TEXT, "Why; shown in every report.", required=True),
        "until": Key(DATE, "The last day it holds.", default="for ever"),
        "subject": Key(TEXT, "Only for this service or value.", default="all"),
    },
)

PROCESS = Record(
    title="process",
    short="command",
    keys={
        "command": Key(TEXT, "What runs; `$PORT` is the port given to it.", default="the Compose command"),
        "build": Key(Items(TEXT, one_ok=True), "Commands that prepare the source before it runs."),
        "source": Key(TEXT, "The directory of its source.", default="the build context"),
        "environment": Key(Named(TEXT, "variable"), "Variables only this engine sets."),
    },
)

SECRET = Record(
    title="secret",
    short="name",
    keys={
        "name": Key(VARIABLE, "The variable.", required=True),
        "command": Key(COMMAND, "Prints the value.", default="the sealed store", example="pass show lexikon/jwt"),
    },
)

NEEDS = Record(
    title="requirements",
    keys={
        "memory": Key(SIZE, "Memory of the machine, as it is sold.", example="4GB"),
        "cpus": Key(whole(1, 4096), "Processors."),
        "disk": Key(SIZE, "Size of the disk that holds Havre's data.", example="40GB"),
        "os": Key(Items(OS, one_ok=True), "Systems that will do, each with its least version.", default="any"),
        "docker": Key(VERSION, "The least version of the Docker Engine.", example='"20.10"'),
        "public_address": Key(FLAG, "It needs an address of its own on the internet.", default="false"),
        "tools": Key(Items(PROGRAM, one_ok=True), "Programs that people and scripts expect there.", default="none"),
    },
)

SERVER = Record(
    title="server",
    keys={
        "needs": Key(NEEDS, "Without this a deploy is refused."),
        "recommends": Key(NEEDS, "Without this a deploy warns."),
    },
)

SUPPORT = Record(
    title="support",
    keys={
        "documentation": Key(TEXT, "Where the documentation is: a path or an address."),
        "runbook": Key(TEXT, "What to do in an incident."),
        "monitoring": Key(LINK, "Where one sees how it is doing."),
        "status_page": Key(LINK, "Where users see whether it works."),
        "contacts": Key(
            Named(TEXT, "role"), "Whom to ask, and how to reach them.", example="developer: dev@example.org"
        ),
    },
)

AUTOSCALE = Record(
    title="autoscale",
    keys={
        "min": Key(whole(1, 100), "At least so many replicas.", default="1"),
        "max": Key(whole(1, 100), "At most so many.", required=True, example="4"),
        "cpu": Key(whole(1, 100), "The load to aim at, in percent of the CPU limit, or of one core without one."),
        "memory": Key(whole(1, 100), "The same for memory, in percent of the memory limit."),
    },
)

SETTINGS = {
    "compose": Key(
        Items(TEXT, one_ok=True),
        "The Compose files, in order; a `Procfile` may be one of them.",
        default="as the Compose CLI finds them, else the Procfile",
    ),
    "env_file": Key(Items(TEXT, one_ok=True), "Files whose variables the Compose files use.", default="`.env`"),
    "profiles": Key(Items(TEXT, one_ok=True), "Compose profiles that are on."),
    "routes": Key(Items(ROUTE), "How requests from outside reach services."),
    "release": Key(RELEASE, "What a release does beside replacing replicas."),
    "backups": Key(Named(BACKUP, "service", empty_ok=True), "What is kept of each service's data."),
    "tls": Key(TLS, "How the hosts get their certificates."),
    "secrets": Key(Items(SECRET), "Variables that come from the sealed store or a command, never from a file."),
    "waivers": Key(Items(WAIVER), "Checks set aside on purpose."),
    "processes": Key(Named(PROCESS, "service"), "How services run on the process engine."),
    "autoscale": Key(Named(AUTOSCALE, "service"), "How many replicas `havre scale --auto` gives a service."),
    "engine": Key(choice("docker", "process", "swarm"), "What runs the services.", default="docker when it answers"),
    "keep_releases": Key(whole(1, 1000), "Releases one can roll back to.", default="5"),
    "hold": Key(DURATION, "How long requests wait for a stop-first service.", default="15s"),
    "notify": Key(Items(TEXT, one_ok=True), "Who will be told of releases and alerts. No effect yet: nothing is sent."),
    "server": Key(SERVER, "What the machine must have: checked before every deploy."),
    "support": Key(SUPPORT, "Where to look and whom to ask, shown by `havre server` and `havre checklist`."),
}

ENVIRONMENT = Record(title="environment", keys=SETTINGS)

MANIFEST = Record(
    title="manifest",
    keys={
        "app": Key(NAME, "The app's name.", required=True, example="lexikon"),
        **SETTINGS,
        "environments": Key(
            Named(ENVIRONMENT, "environment", empty_ok=True),
            "What differs elsewhere: mappings are merged, lists replace, an empty value removes.",
        ),
    },
)
