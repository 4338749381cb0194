"""What to do about a class of trouble that a log line shows: one next step, with the service's name in it."""

from __future__ import annotations

from collections.abc import Mapping

from havre.checks.symptoms import Symptom

_LOGS = "`havre logs --tail 100 {service}` shows more; correct what it names, then `havre deploy`"
_AGAIN = "`havre restart {service}` now that what it calls is up; `havre logs -f {service}` shows whether"
_IMAGE = "install it in the image of {service}, then `havre deploy`; `havre rollback` serves the image before"

ADVICE: Mapping[str, str] = {
    "missing-variable": "set {name} (`havre secrets set {name}` for a secret), then `havre deploy`",
    "missing-module": _IMAGE,
    "missing-program": _IMAGE,
    "missing-interpreter": "check its path, and that its first line names an interpreter of the image and ends without "
    "a Windows line end (`sed -i 's/\\r$//'`)",
    "missing-library": _IMAGE,
    "migration-failed": "`havre logs --tail 200 {service}` shows the first SQL error; correct it, then `havre deploy`",
    "disk-full": "`df -h` shows the full file system; make room (`havre prune`), then `havre restart {service}`",
    "shared-memory": "give {service} `shm_size: 256m` in the Compose file, then `havre deploy`",
    "low-port": "let it listen above port 1023 and lead the route there, or add `cap_add: [NET_BIND_SERVICE]`",
    "too-many-files": "`ulimits: {{nofile: 65536}}` of {service} raises it; a number that only grows is a leak",
    "too-many-processes": "raise `pids_limit` of {service} in the Compose file, then `havre deploy`",
    "kernel-setting": "`sysctl -w vm.max_map_count=262144` on this server, and in /etc/sysctl.d to keep it",
    "clock": "`timedatectl` shows this server's clock and whether it is set over the network",
    "data-directory": "mount the volume one directory higher, or set PGDATA to a directory inside it",
    "port-in-use": "give {service} another port inside, or one process less; `havre exec {service} ps` shows them",
    "incompatible-data": "`havre rollback` brings the image back that wrote the volume; migrate the data with dump and "
    "restore",
    "wrong-password": "`havre check` compares the passwords of services and databases",
    "permission-denied": "`havre exec {service} id` shows its user: `chown` what it writes to, or set `user:`",
    "not-executable": "`chmod +x` the program in the source of {service}, then `havre deploy`",
    "read-only": "give {service} a volume or `tmpfs:` at the place it writes to, or take `read_only:` away",
    "wrong-platform": "build the image for this server's processor, or say which with `platform:`; then `havre deploy`",
    "locked": "`havre doctor` names who holds a lock in PostgreSQL; restart what was cut short in a migration",
    "pool-exhausted": "raise the pool of {service} (`pool_size`), or end what holds connections for long; then deploy",
    "server-full": "raise its `maxmemory`, or give it a `maxmemory-policy` that makes room",
    "tls": "give {service} the authority's certificate (`SSL_CERT_FILE`, `NODE_EXTRA_CA_CERTS`, `sslrootcert`)",
    "refused": _AGAIN,
    "no-such-host": _AGAIN,
    "unreachable": _AGAIN,
    "not-ready": _AGAIN,
}


def advice(service: str, symptom: Symptom | None) -> str:
    """The next step for a service that shows this symptom."""
    kind = symptom.kind if symptom else ""
    name = symptom.name if symptom else ""
    if kind == "missing-variable" and not name:
        kind = ""
    return ADVICE.get(kind, _LOGS).format(service=service, name=name)
