"""Certificates as files: what they say, what is refused, when they are due."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from havre.edge import certificate_files, x509
from havre.edge.certificates import Certificates
from havre.edge.haproxy import Edge
from havre.edge.layout import Layout
from havre.edge.runner import ProcessRunner, Verdict, complaints
from havre.edge.runtime import Runtime, Socket
from havre.edge.state import Applied, load_all, load_applied, save_applied
from havre.errors import FailedError, UnavailableError
from havre.host import clock
from havre.model.route import AppEdge, EdgeSettings, Route, Tls

DAY = 86400


def app(*hosts: str, mode: str = "acme") -> AppEdge:
    routes = tuple(Route(host=host, service="web", port=3000) for host in hosts)
    return AppEdge(instance="shop", routes=routes, tls=Tls(mode=mode))  # type: ignore[arg-type]


def parts(pem: bytes) -> tuple[bytes, bytes]:
    certificate, key = pem.split(b"-----BEGIN PRIVATE KEY")
    return certificate, b"-----BEGIN PRIVATE KEY" + key


def test_a_self_signed_certificate_says_its_names_and_days() -> None:
    contents = x509.read(x509.self_signed(("shop.localhost", "www.shop.localhost"), days=90))
    assert contents.names == ("shop.localhost", "www.shop.localhost")
    assert 89 < contents.days_left(clock.now()) < 91


@pytest.mark.parametrize(
    ("names", "host", "answer"),
    [
        (("shop.example",), "shop.example", True),
        (("shop.example",), "SHOP.example", True),
        (("*.shop.example",), "eu.shop.example", True),
        (("*.shop.example",), "a.eu.shop.example", False),
        (("*.shop.example",), "shop.example", False),
        (("*.shop.example",), "*.shop.example", True),
    ],
)
def test_a_wildcard_covers_one_label(names: tuple[str, ...], host: str, answer: bool) -> None:
    assert x509.covers(names, host) is answer


def test_every_fault_of_an_own_certificate_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, _ = parts(x509.self_signed(("other.example",), days=1))
    _, key = parts(x509.self_signed(("shop.example",)))
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now + 10 * DAY)
    found = [problem.summary for problem in x509.problems(certificate, key, ["shop.example"], subject="shop")]
    assert found == [
        "the key does not belong to the certificate",
        "the certificate has expired",
        "the certificate is not for shop.example",
    ]


def test_text_that_is_no_certificate_or_key_is_told() -> None:
    certificate, key = parts(x509.self_signed(("shop.example",)))
    assert [p.summary for p in x509.problems(b"x", key, [], subject="s")] == ["the certificate is not PEM"]
    assert [p.summary for p in x509.problems(certificate, b"x", [], subject="s")] == [
        "the key is not an unencrypted PEM key"
    ]


def test_a_joined_pem_has_no_blank_lines() -> None:
    assert x509.joined(b"a\n\nb\n", b"\nc\n") == b"a\nb\nc\n"


def test_the_list_names_the_default_first_and_only_files_that_exist(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    one = app("b.example", "a.example")
    certificate_files.write_list(layout, [one])
    default = str(tmp_path / "certs" / "default.pem")
    assert layout.certificate_list.read_text() == f"{default}\n"
    files = certificate_files.wanted_files(layout, one)
    for file in files:
        file.path.parent.mkdir(parents=True, exist_ok=True)
        file.path.write_bytes(b"x")
    certificate_files.change_list(layout, (), files)
    acme = tmp_path / "certs" / "acme"
    listed = layout.certificate_list.read_text().splitlines()
    assert listed == [default, f"{acme}/a.example.pem a.example", f"{acme}/b.example.pem b.example"]
    certificate_files.change_list(layout, files[:1], files[1:])
    assert layout.certificate_list.read_text().splitlines() == [default, f"{acme}/b.example.pem b.example"]


@pytest.fixture
def certificates(tmp_path: Path) -> Callable[[int | None], Certificates]:
    """For an app whose certificate was made for so many days, by an authority that nobody reaches."""

    def make(days: int | None) -> Certificates:
        settings = EdgeSettings(acme_directory="https://127.0.0.1:9/dir")
        edge = Edge(tmp_path, ProcessRunner(program="/nonexistent/haproxy"), settings)
        save_applied(edge.layout, Applied(app=app("shop.example")))
        if days is not None:
            (file,) = certificate_files.wanted_files(edge.layout, app("shop.example"))
            file.path.parent.mkdir(parents=True, exist_ok=True)
            file.path.write_bytes(x509.self_signed(("shop.example",), days=days))
        return Certificates(edge)

    return make


@pytest.mark.parametrize(("days", "passed", "due"), [(90, 0, False), (90, 61, True), (6, 1, False), (6, 5, True)])
def test_renewal_begins_thirty_days_or_a_third_before_the_end(
    certificates: Callable[[int | None], Certificates],
    monkeypatch: pytest.MonkeyPatch,
    days: int,
    passed: int,
    due: bool,
) -> None:
    made = certificates(days)
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now + passed * DAY)
    assert (made.renew().problems != ()) is due


def test_failures_are_tried_again_after_growing_pauses(
    certificates: Callable[[int | None], Certificates], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = certificates(None)
    at = clock.now()
    monkeypatch.setattr(clock, "now", lambda: at)
    pauses = []
    for _ in range(10):
        assert len(made.renew().problems) == 1
        assert made.renew().problems == ()
        (listed,) = made.listed()
        pauses.append(round(listed.next_try - at))
        at = listed.next_try + 1
    assert pauses == [300, 600, 1200, 2400, 4800, 9600, 19200, 38400, 76800, 86400]


def test_a_listed_certificate_is_one_line(certificates: Callable[[int | None], Certificates]) -> None:
    assert str(certificates(None).listed()[0]) == "shop.example (acme, shop): missing"
    assert str(certificates(90).listed()[0]) == "shop.example (acme, shop): 90 days left"


def test_state_is_read_as_it_was_written_and_damage_is_told(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    applied = Applied(app=app("shop.example", mode="off"))
    save_applied(layout, applied)
    assert load_applied(layout, "shop") == applied
    assert tuple(load_all(layout)) == (applied,)
    layout.app_state("shop").write_text("{")
    with pytest.raises(FailedError, match="cannot be read"):
        load_applied(layout, "shop")


def test_a_silent_edge_is_told_as_unavailable(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="does not answer"):
        Socket(tmp_path / "nobody.sock").ask("show info")
    assert not Socket(tmp_path / "nobody.sock").answers()


def test_an_answer_that_was_not_expected_is_a_refusal(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(path))
        server.listen(1)

        def answer() -> None:
            connection, _ = server.accept()
            connection.recv(100)
            connection.sendall(b"No such server.\n")
            connection.close()

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(FailedError, match=r"answer: No such server\."):
            Runtime(Socket(path), Socket(path)).set_state("b", "s1", "ready")
        thread.join()


def test_complaints_are_the_alerts_without_their_prefix() -> None:
    output = "[NOTICE] (1) : hello\n[ALERT]    (1) : config : parsing [x.cfg:3] : unknown keyword 'a'\n"
    assert complaints(1, output) == Verdict(complaints=("config : parsing [x.cfg:3] : unknown keyword 'a'",))
    assert complaints(0, output).is_accepted
    assert complaints(1, "").complaints == ("exit code 1",)
