"""Which certificate files there are, which hosts each is for, and how one is put into the running edge."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from havre.edge import x509
from havre.edge.layout import Layout
from havre.edge.runtime import Runtime
from havre.errors import FailedError, Problem, RefusedError
from havre.host.files import write_atomic
from havre.model.route import AppEdge

Kind = Literal["acme", "own", "self-signed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFile:
    """One PEM (chain and key) and the hosts it is shown for."""

    instance: str
    kind: Kind
    path: Path
    hosts: tuple[str, ...]

    @property
    def line(self) -> str:
        """Its line in HAProxy's list."""
        return f"{self.path} {' '.join(self.hosts)}"


def default_certificate(layout: Layout) -> Path:
    """What a visitor without a matching name is shown."""
    return layout.certificates / "default.pem"


def wanted_files(layout: Layout, app: AppEdge) -> tuple[CertificateFile, ...]:
    """The files that an app's TLS mode calls for, whether they exist already or not; ACME has one per host."""
    mode, hosts = app.tls.mode, app.hosts
    if mode == "off" or not hosts:
        return ()
    if mode == "acme":
        return tuple(
            CertificateFile(instance=app.instance, kind=mode, path=acme_path(layout, host), hosts=(host,))
            for host in hosts
        )
    path = layout.certificates / mode / f"{app.instance}.pem"
    return (CertificateFile(instance=app.instance, kind=mode, path=path, hosts=hosts),)


def acme_path(layout: Layout, host: str) -> Path:
    """Where the certificate that ACME issued for a host lies."""
    return layout.certificates / "acme" / f"{host.replace('*', '_')}.pem"


def write_list(layout: Layout, apps: Iterable[AppEdge]) -> None:
    """Render HAProxy's list: the default first, then every file that exists."""
    default = default_certificate(layout)
    if not default.exists():
        write_atomic(default, x509.self_signed(("havre.invalid",), days=3650), mode=0o600)
    files = [file for app in apps for file in wanted_files(layout, app)]
    _write_lines(layout, {file.line for file in files if file.path.exists()})


def change_list(layout: Layout, gone: Iterable[CertificateFile], present: Iterable[CertificateFile]) -> None:
    """Bring the list up to date with a change of one app."""
    paths = {str(file.path) for file in (*gone, *present)}
    kept = {line for line in layout.certificate_list.read_text().splitlines()[1:] if line.split()[0] not in paths}
    _write_lines(layout, kept | {file.line for file in present if file.path.exists()})


def replace_files(runtime: Runtime, layout: Layout, old: AppEdge | None, app: AppEdge, pem: bytes | None) -> None:
    """Bring an app's certificates from `old` to `app`, on disk and in the running edge; `pem` is new content."""
    before = wanted_files(layout, old) if old else ()
    after = wanted_files(layout, app)
    if pem is None and before == after:
        return
    if pem is not None:
        write_atomic(after[0].path, pem, mode=0o600)
    gone = [file for file in before if file.path not in {other.path for other in after}]
    change_list(layout, gone, after)
    for file in gone:
        unload(runtime, layout, file)
    for file in after:
        if file.path.exists() and (pem is not None or file not in before):
            load(runtime, layout, file)


def _write_lines(layout: Layout, lines: Iterable[str]) -> None:
    text = "\n".join([str(default_certificate(layout)), *sorted(lines)]) + "\n"
    if not layout.certificate_list.exists() or layout.certificate_list.read_text() != text:
        write_atomic(layout.certificate_list, text)


def local_pem(layout: Layout, app: AppEdge, old: AppEdge | None = None) -> bytes | None:
    """The PEM of an app with its own or a self-signed certificate, checked; None when the one on disk will do.

    That is so, too, where its own files are not good any more (expired, damaged, gone) and `old` was served with them:
    whoever ends a hold, undoes a release or stops a service changes no certificate, and visitors keep the one they get.
    """
    for file in wanted_files(layout, app):
        if file.kind == "own":
            try:
                pem = _own(app)
            except RefusedError:
                if old is not None and (old.tls, old.hosts) == (app.tls, app.hosts) and file.path.exists():
                    return None
                raise
            return None if file.path.exists() and file.path.read_bytes() == pem else pem
        if file.kind == "self-signed" and not _is_good(file):
            return x509.self_signed(file.hosts)
    return None


def load(runtime: Runtime, layout: Layout, file: CertificateFile) -> None:
    """Put a file into the running edge, in place of what it had under that path; connections are not touched."""
    pem = file.path.read_text()
    known = {line.strip() for line in runtime.admin.ask("show ssl cert").splitlines()}
    is_new = str(file.path) not in known
    if is_new:
        _tell(runtime, f"new ssl cert {file.path}", "New empty certificate")
    _tell(runtime, f"set ssl cert {file.path} <<\n{pem}", "Transaction")
    _tell(runtime, f"commit ssl cert {file.path}", "Success!")
    listed = runtime.admin.ask(f"show ssl crt-list {layout.certificate_list}").splitlines()
    if file.line not in [line.strip() for line in listed]:
        if any(line.startswith(f"{file.path} ") for line in listed):
            _tell(runtime, f"del ssl crt-list {layout.certificate_list} {file.path}", "deleted")
        _tell(runtime, f"add ssl crt-list {layout.certificate_list} <<\n{file.line}\n", "Success!")


def unload(runtime: Runtime, layout: Layout, file: CertificateFile) -> None:
    """Take a file out of the running edge, if it is there."""
    listed = runtime.admin.ask(f"show ssl crt-list {layout.certificate_list}").splitlines()
    if any(line.startswith(f"{file.path} ") for line in listed):
        _tell(runtime, f"del ssl crt-list {layout.certificate_list} {file.path}", "deleted")
        _tell(runtime, f"del ssl cert {file.path}", "deleted")


def own_problems(app: AppEdge) -> tuple[Problem, ...]:
    """Why an app's own certificate could not be taken into use; nothing where it has none of its own."""
    try:
        if app.tls.mode == "own":
            _own(app)
    except RefusedError as error:
        return tuple(error.problems)
    return ()


def _own(app: AppEdge) -> bytes:
    parts = []
    for what, path in (("certificate", app.tls.certificate), ("key", app.tls.key)):
        try:
            parts.append(Path(path or "").read_bytes())
        except OSError as error:
            raise RefusedError(_unreadable(app.instance, what, path, error)) from error
    found = tuple(x509.problems(parts[0], parts[1], app.hosts, subject=app.instance))
    if found:
        raise RefusedError(found)
    return x509.joined(parts[0], parts[1])


def _is_good(file: CertificateFile) -> bool:
    from havre.host import clock

    if not file.path.exists():
        return False
    contents = x509.read(file.path.read_bytes())
    return contents.days_left(clock.now()) > 30 and all(x509.covers(contents.names, host) for host in file.hosts)


def _tell(runtime: Runtime, command: str, expected: str) -> None:
    reply = runtime.admin.ask(command)
    if expected not in reply:
        name = command.split("\n", 1)[0].removesuffix("<<")
        raise FailedError(
            Problem(
                summary="the edge refused a certificate",
                evidence=(f"command: {name}", *(f"answer: {line}" for line in _lines(reply))),
                hint="check the certificate with `havre certs`; the one in use stays in use",
                code="edge-certificate",
            )
        )


def _lines(reply: str) -> Iterator[str]:
    yield from [line for line in reply.splitlines() if line.strip()][:4]


def _unreadable(instance: str, what: str, path: str | None, error: OSError) -> Sequence[Problem]:
    return (
        Problem(
            summary=f"the {what} {path or '(no path given)'} cannot be read",
            evidence=(error.strerror or str(error),),
            hint=f"give the path of a PEM file with the {what} in `tls:` of havre.yaml",
            subject=instance,
            code="edge-certificate",
        ),
    )
