"""Speak to the running HAProxy: one command per connection, every reply checked, failures in Havre's own words."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from havre.errors import FailedError, Problem, UnavailableError

_ANSWER_LIMIT = 10.0
_ADDRESS_REPLIES = ("IP changed from", "port changed from", "no need to change")
_PARTIAL_REPLIES = ("nothing changed",)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLine:
    """A server slot as HAProxy reports it."""

    backend: str
    name: str
    address: str
    port: int
    is_up: bool
    is_draining: bool
    is_off: bool

    @property
    def takes_traffic(self) -> bool:
        """True when neither drained nor in maintenance."""
        return not self.is_draining and not self.is_off


@dataclass(frozen=True, slots=True)
class Socket:
    """One of HAProxy's command sockets; the master's goes on listening until we say that we are done."""

    path: Path
    is_master: bool = False

    def ask(self, command: str) -> str:
        """The reply to `command`; raises UnavailableError when nobody answers."""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(_ANSWER_LIMIT)
                connection.connect(str(self.path))
                connection.sendall(command.encode() + b"\n")
                if self.is_master:
                    connection.shutdown(socket.SHUT_WR)
                parts = []
                while part := connection.recv(1 << 18):
                    parts.append(part)
        except OSError as error:
            raise UnavailableError(_silent(self.path, error)) from error
        return b"".join(parts).decode(errors="replace").strip()

    def do(self, command: str, *, replies: Iterable[str] = ()) -> None:
        """Run a command that answers nothing, or begins with one of `replies`; else raises FailedError."""
        reply = self.ask(command)
        if reply and not reply.startswith(tuple(replies)):
            raise FailedError(_refused(command, reply))

    def answers(self) -> bool:
        """True when HAProxy listens here."""
        try:
            self.ask("show version")
        except UnavailableError:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Runtime:
    """The runtime API of the current worker, and its master."""

    admin: Socket
    master: Socket

    def generation(self) -> str:
        """Which structure the worker runs: the description its configuration gave it."""
        for line in self.admin.ask("show info").splitlines():
            if line.lower().startswith("description:"):
                return line.split(":", 1)[1].strip()
        return ""

    def place(self, backend: str, server: str, address: str, port: int) -> None:
        """Give a slot its replica's address."""
        self.admin.do(f"set server {backend}/{server} addr {address} port {port}", replies=_ADDRESS_REPLIES)

    def set_state(self, backend: str, server: str, state: str) -> None:
        """`ready`, `drain` or `maint`."""
        self.admin.do(f"set server {backend}/{server} state {state}")

    def servers(self, backend: str = "") -> list[ServerLine]:
        """The slots of one backend, or of all."""
        rows = self.admin.ask(f"show servers state {backend}".rstrip()).splitlines()
        header = next((row[1:].split() for row in rows if row.startswith("#")), [])
        return [_server(dict(zip(header, row.split(), strict=False))) for row in rows if _is_row(row)]

    def sessions(self, backend: str, old_workers: Iterable[int] = ()) -> Mapping[str, int]:
        """Open sessions of each slot of a backend, those that old workers still finish included."""
        command = f"show stat {backend} 4 -1"
        found = Counter(_sessions(self.admin.ask(command)))
        for pid in old_workers:
            found.update(_sessions(self.master.ask(f"@!{pid} {command}")))
        return found

    def map_entries(self, path: Path) -> dict[str, str]:
        """A map as the worker has it."""
        rows = [row.split(" ", 2) for row in self.admin.ask(f"show map {path}").splitlines() if row]
        return {row[1]: row[2] if len(row) > 2 else "" for row in rows if len(row) > 1}

    def change_map(self, path: Path, before: Mapping[str, str], after: Mapping[str, str]) -> None:
        """Bring a map from `before` to `after`: first what is new, then what moved, then what is gone."""
        for key in sorted(after.keys() - before.keys()):
            self.admin.do(f"add map {path} {_word(key)} {_word(after[key])}")
        for key in sorted(after.keys() & before.keys()):
            if after[key] != before[key]:
                self.admin.do(f"set map {path} {_word(key)} {_word(after[key])}")
        for key in sorted(before.keys() - after.keys()):
            self.admin.do(f"del map {path} {_word(key)}")

    def reload(self) -> bool:
        """Ask the master for a new worker; False when it says at once that there is none (2.6 never says).

        It begins anew for that, and may drop the connection before it has answered.
        """
        try:
            return "Success=0" not in self.master.ask("reload")
        except UnavailableError as error:
            if isinstance(error.__cause__, ConnectionResetError):
                return True
            raise

    def old_workers(self) -> tuple[int, ...]:
        """Process ids of workers that still finish what they had begun before a reload."""
        pids = []
        in_old = False
        for line in self.master.ask("show proc").splitlines():
            if line.startswith("#"):
                in_old = "old workers" in line
            elif in_old and line.split():
                pids.append(int(line.split()[0]))
        return tuple(pids)


def _word(text: str) -> str:
    """`text` as one word of a command: a semicolon would end it."""
    return text.replace("\\", "\\\\").replace(";", "\\;").replace(" ", "\\ ")


def _sessions(reply: str) -> dict[str, int]:
    header, *rows = reply.splitlines() or [""]
    if not header.startswith("# pxname"):
        return {}
    names = header.removeprefix("# ").split(",")
    parsed = [dict(zip(names, row.split(","), strict=False)) for row in rows if row]
    return {row["svname"]: int(row["scur"] or 0) + int(row["qcur"] or 0) for row in parsed}


def _is_row(row: str) -> bool:
    return not row.startswith("#") and len(row.split()) > 10


def _server(row: Mapping[str, str]) -> ServerLine:
    admin = int(row["srv_admin_state"])
    return ServerLine(
        backend=row["be_name"],
        name=row["srv_name"],
        address=row["srv_addr"],
        port=int(row["srv_port"]),
        is_up=row["srv_op_state"] != "0",
        is_draining=bool(admin & 0x18),
        is_off=bool(admin & 0x23),
    )


def _silent(path: Path, error: OSError) -> Problem:
    return Problem(
        summary="the edge (HAProxy) does not answer",
        evidence=(f"{path}: {error.strerror or error}",),
        hint="`havre edge restart` starts it; its own words are in `log/haproxy.log` of the edge's directory",
        code="edge-silent",
    )


def _refused(command: str, reply: str) -> Problem:
    return Problem(
        summary="the edge refused a command",
        evidence=(f"command: {command[:160]}", *(f"answer: {line}" for line in reply.splitlines()[:4])),
        hint="run `havre edge restart`: it brings the running edge back to what is recorded on disk",
        code="edge-refused",
    )
