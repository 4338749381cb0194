"""What the server holds is listed port by port, and its memory app by app."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from havre.model.app import App, SecretSource
from havre.model.server import Claim, Disk, DiskNeed, Listener, ServerFacts
from havre.model.units import GIB, MIB
from havre.secrets.vault import Vault
from havre.store.instances import StoredClaim
from havre.store.state import State
from havre.workflows.ledger import CONFLICT, PortLine, disk_budgets, list_ports, memory_budget, server_now
from havre.workflows.secrets import names_to_generate, values_of, vault_of


def test_every_port_is_listed_with_its_app_and_its_listener() -> None:
    claims = (
        Claim(instance="shop", kind="port", value="127.0.0.1:5434/tcp", detail="db, /srv/shop/compose.yaml:7:9"),
        Claim(instance="blog", kind="port", value="0.0.0.0:8080/tcp", detail="web"),
        Claim(instance="idle", kind="port", value="0.0.0.0:9090/tcp", detail="web"),
        Claim(instance="idle", kind="host", value="a.org/"),
    )
    listeners = (
        Listener(port=5434, address="127.0.0.1", pid=3, program="haproxy", ours=True),
        Listener(port=8080, address="0.0.0.0", pid=4, program="caddy"),
        Listener(port=443, address="::", pid=3, program="haproxy", ours=True),
        Listener(port=22, address="0.0.0.0", pid=5, program="sshd"),
    )
    lines = list_ports(ServerFacts(claims=claims, listeners=listeners))
    assert [(line.port, line.instance, line.listener, line.detail) for line in lines] == [
        (22, "", "pid 5 (sshd)", ""),
        (443, "havre", "pid 3 (haproxy)", ""),
        (5434, "shop", "pid 3 (haproxy)", "db, /srv/shop/compose.yaml:7:9"),
        (8080, "blog", "pid 4 (caddy)", CONFLICT),
        (9090, "idle", "", "web"),
    ]
    assert [line.conflicts for line in lines] == [False, False, False, True, False]


def test_the_budget_counts_every_app() -> None:
    claims = (
        Claim(instance="shop", kind="memory", value=str(512 * MIB)),
        Claim(instance="blog", kind="memory", value=str(GIB), detail="without a limit: web"),
    )
    table = memory_budget(ServerFacts(memory_total=4 * GIB, claims=claims))
    assert [(line.name, line.size) for line in table.lines] == [("system", GIB), ("blog", GIB), ("shop", 512 * MIB)]
    assert table.left == 4 * GIB - 2 * GIB - 512 * MIB


def test_each_disk_has_a_budget_of_what_may_still_come_to_it() -> None:
    disks = (
        Disk(purpose="images", path="/var", total=100 * GIB, free=10 * GIB),
        Disk(purpose="backups", path="/b", total=100 * GIB, free=GIB),
    )
    claims = (
        Claim(instance="shop", kind="disk-images", value=str(30 * MIB), detail="logs, by their limits"),
        Claim(instance="blog", kind="disk-images", value=str(60 * MIB), detail="logs, by their limits"),
    )
    needs = (DiskNeed(purpose="backups", name="shop/db", size=2 * GIB, note="its next backup"),)
    (_, images), (_, backups) = disk_budgets(ServerFacts(disks=disks, claims=claims), needs, instance="shop")
    assert [line.name for line in images.lines] == ["kept free", "blog"], "its own logs come with its own needs"
    assert (images.fits, backups.fits) == (True, False)
    assert str(backups).endswith("missing    1.5 GiB")


def test_the_server_is_looked_at_together_with_its_book(tmp_path: Path) -> None:
    state = State(tmp_path)
    state.instances.replace_claims("shop", [StoredClaim(instance="shop", kind="host", value="a.org/", detail="x")])
    facts = server_now(state)
    assert facts.claims == (Claim(instance="shop", kind="host", value="a.org/", detail="x"),)
    assert facts.memory_total > 0


def test_a_port_line_is_plain_data() -> None:
    assert PortLine(port=1, protocol="tcp", address="::").instance == ""


def test_an_app_without_secrets_opens_no_store(tmp_path: Path) -> None:
    state = State(tmp_path)
    assert values_of(state, App(name="shop")) == {}
    assert not state.keys.exists()


def test_the_secrets_of_an_app_come_from_its_own_store(tmp_path: Path) -> None:
    state = State(tmp_path)
    assert isinstance(vault_of(state, "shop"), Vault)
    vault_of(state, "shop").put({"A": "1"})
    vault_of(state, "shop-staging").put({"A": "2"})
    assert values_of(state, App(name="shop")) == {"A": "1"}
    assert values_of(state, App(name="shop", environment="staging")) == {"A": "2"}


def test_what_to_generate_is_the_manifests_list_or_what_is_unset(judge: Any) -> None:
    listed = App(name="shop", secrets=(SecretSource(name="A"), SecretSource(name="B", command=("x",))))
    assert names_to_generate(listed, None) == ("A",)
    assert names_to_generate(App(name="shop"), None) == ()


def test_only_secret_names_that_have_no_value_are_generated() -> None:
    uses = {
        name: Use(source) for name, source in (("DB_PASSWORD", "unset"), ("JWT_SECRET", "env file"), ("X", "unset"))
    }
    loaded: Any = Loaded(uses)
    assert names_to_generate(App(name="shop"), loaded) == ("DB_PASSWORD",)


class Use:
    def __init__(self, source: str) -> None:
        self.source = source


class Loaded:
    def __init__(self, variables: dict[str, Use]) -> None:
        self.variables = variables
