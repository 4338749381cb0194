"""What surrounds a shop: names, the authority's port, certificates, room, images, visitors and a busy server."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from diagnosed_shop import NOW, Shop, replica, stopped

from havre.errors import Severity
from havre.model.diagnosis import (
    Busy,
    CertificateFact,
    Death,
    Fill,
    ImageFact,
    Load,
    NameAnswer,
    Names,
    Visit,
)
from havre.model.health import HealthState, ProbeResult
from havre.model.project import Resources
from havre.model.server import Disk, Listener, ServerFacts
from havre.model.upkeep import Kind, Stored

MIB, GIB = 1024**2, 1024**3
HOST, HERE, THERE = "shop.firm.org", "203.0.113.5", "198.51.100.7"
ACME = CertificateFact(hosts=(HOST,), kind="acme", problem="urn:ietf:params:acme:error:connection")
AT_80 = Listener(port=80, address="0.0.0.0", pid=812, program="nginx")


def names(*answers: NameAnswer, certain: bool = True) -> Names:
    return Names(answers=answers, own=(HERE,), is_certain=certain)


def leads(*addresses: str, **more: Any) -> NameAnswer:
    return NameAnswer(**{"host": HOST, "addresses": addresses, **more})


def test_a_name_that_leads_here_is_no_finding(shop: Shop) -> None:
    assert shop.problems(names=names(leads(HERE))) == ()


def test_a_name_that_leads_elsewhere_is_told_with_both_addresses(shop: Shop) -> None:
    found = shop.one(names=names(leads(THERE)))
    assert found.summary == f"{HOST} leads to {THERE}, which is not this server"
    assert found.evidence == (f"this server: {HERE}",)
    assert f"`addresses: [{THERE}]`" in found.hint


def test_a_second_address_that_is_not_ours_is_told(shop: Shop) -> None:
    assert shop.one(names=names(leads(HERE, "2001:db8::1"))).summary.endswith("and also to 2001:db8::1")


def test_behind_nat_nobody_knows_until_a_certificate_fails(shop: Shop) -> None:
    behind = names(leads(THERE), certain=False)
    assert shop.problems(names=behind) == ()
    found = shop.one(names=behind, certificates=(ACME,))
    assert found.code == "doctor-dns"
    assert "the certificate of shop.firm.org does not exist" in found.effect
    assert found.severity is Severity.ERROR, "browsers refuse the page"


def test_a_name_without_a_record_is_told_and_a_slip_of_the_pen_is_seen(shop: Shop) -> None:
    absent = leads(problem="no-record", detail="there is no such name", host="shop.frim.org")
    found = shop.problems(names=names(absent, leads(HERE)))[0]
    assert (found.summary, "did you mean shop.firm.org?" in found.hint) == ("shop.frim.org has no address in DNS", True)
    assert "add an A record" in shop.one(names=names(leads(problem="no-record"))).hint


def test_a_name_that_only_this_servers_hosts_file_has_is_meant_so(shop: Shop) -> None:
    assert shop.problems(names=names(leads(problem="no-record", here=(HERE,)))) == ()
    assert "/etc/hosts" in shop.one(names=names(leads(problem="no-record", here=(THERE,)))).evidence[1]


def test_a_resolver_that_does_not_answer_says_nothing_about_the_app(shop: Shop) -> None:
    found = shop.one(names=names(leads(problem="resolver", detail="192.0.2.53 timed out")))
    assert (found.code, found.severity) == ("doctor-resolver", Severity.NOTE)


def test_port_80_held_by_another_program_is_why_a_certificate_fails(shop: Shop) -> None:
    server = ServerFacts(listeners=(AT_80,))
    found = shop.one(names=names(leads(HERE)), certificates=(ACME,), server=server)
    assert found.summary == "port 80, where the certificate authority asks, is held by pid 812 (nginx)"
    assert "last try for shop.firm.org: urn:ietf" in found.evidence[0]
    assert "the certificate of shop.firm.org does not exist" in found.effect


def test_with_the_edge_on_port_80_the_last_error_stands_alone(shop: Shop) -> None:
    server = ServerFacts(listeners=(replace(AT_80, ours=True),))
    found = shop.one(certificates=(ACME,), server=server)
    assert (found.code, found.evidence) == ("doctor-certificate", (f"last try: {ACME.problem}",))


def test_a_certificate_for_other_names_is_told(shop: Shop) -> None:
    fact = CertificateFact(hosts=(HOST, "a.firm.org"), kind="own", days_left=80.0, names=("*.other.org", "a.firm.org"))
    found = shop.one(certificates=(fact,))
    assert found.summary == "the certificate shown for shop.firm.org is for *.other.org, a.firm.org"
    wildcard = replace(fact, names=("*.firm.org",))
    assert shop.problems(certificates=(wildcard,)) == ()


def test_a_full_disk_names_what_takes_the_room_and_whose_it_is(shop: Shop) -> None:
    disks = (Disk(purpose="images", path="/var/lib", total=40 * GIB, free=GIB // 8),)
    kept = (
        Stored(kind=Kind.VOLUME, id="v", names=("shop_data",), instance="shop", size=9 * GIB),
        Stored(kind=Kind.IMAGE, id="i", names=("other/tool:1",), size=3 * GIB),
    )
    found = shop.one(server=ServerFacts(disks=disks), consumers=kept)
    assert found.evidence[1:] == (
        "takes the room:",
        "  9 GiB  volume shop_data of shop",
        "  3 GiB  image other/tool:1, not Havre's",
    )
    assert "`havre prune`" in found.hint


def test_a_full_file_system_inside_a_replica_is_told(shop: Shop) -> None:
    found = shop.put(replica("api", full=(("/data", 0, 50 * MIB),))).one()
    assert (found.subject, found.summary) == ("api.1", "the file system at /data inside is full")
    assert found.evidence == ("0 B of 50 MiB are free",)


def test_gpu_libraries_without_a_gpu_are_told_with_the_layer(shop: Shop) -> None:
    image = ImageFact(
        service="api", reference="api:1", size=5800 * MIB, gpu_libraries=("/usr/lib/python3.11/site-packages/nvidia",),
        layers=((4000 * MIB, "RUN pip install -r requirements.txt"),),
    )  # fmt: skip
    found = shop.one(images=(image,))
    assert "has the libraries of a GPU in it (5.7 GiB)" in found.summary
    assert "layer of 3.9 GiB: RUN pip install -r requirements.txt" in found.evidence
    shop.change("api", resources=Resources(devices=("{}",)))
    assert shop.problems(images=(image,)) == ()


def test_an_image_that_has_grown_is_told(shop: Shop) -> None:
    grown = ImageFact(service="api", reference="api:1", size=3 * GIB, before=GIB)
    assert shop.one(images=(grown,)).summary == "its image has 3 GiB; in the release before it had 1 GiB"
    assert shop.problems(images=(replace(grown, before=int(2.5 * GIB)),)) == ()


def visit(**more: Any) -> Visit:
    return Visit(**{"route": "shop.firm.org/", "service": "web", "seconds": 0.1, "status": 200, **more})


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (visit(status=502), "visitors of shop.firm.org/ get 502"),
        (visit(status=None, error="none within 6 s"), "visitors of shop.firm.org/ get no answer: none within 6 s"),
        (visit(seconds=4.0), "shop.firm.org/ answers slowly: in 4 s"),
    ],
)
def test_what_visitors_get_is_told_with_the_circumstances(seen: Visit, said: str, shop: Shop) -> None:
    shop.change("web", resources=Resources(cpus=0.5))
    shop.put(replica("web", lines=("ValueError: x",), cpu=49.0, memory=120 * MIB, memory_limit=128 * MIB))
    found = shop.one(visits=(seen,))
    assert found.summary == said
    assert found.evidence == (
        "web.1 uses 0.5 of its 0.5 CPUs",
        "web.1 uses 120 MiB of its 128 MiB of memory",
        "log: ValueError: x",
    )


@pytest.mark.parametrize("seen", [visit(), visit(status=404), visit(status=401), visit(seconds=2.5)])
def test_an_answer_in_time_is_no_finding(seen: Visit, shop: Shop) -> None:
    assert shop.problems(visits=(seen,)) == ()


def test_a_failing_page_is_the_effect_of_what_is_behind_it(shop: Shop) -> None:
    found = shop.put(stopped("db")).one(visits=(visit(status=500),))
    assert found.subject == "db.1"
    assert "visitors of shop.firm.org/ get 500" in found.effect


def test_what_visitors_of_another_service_get_is_left_out_of_one_services_diagnosis(shop: Shop) -> None:
    assert shop.problems(visits=(visit(status=500),), only="api") == ()
    assert len(shop.problems(visits=(visit(status=500),), only="web")) == 1


def test_an_empty_pool_is_told_beside_the_room_that_the_database_has(shop: Shop) -> None:
    shop.put(replica("api", lines=("QueuePool limit of size 5 overflow 10 reached, waiting for connection",)))
    fill = Fill(service="db", kind="postgres", used=20, limit=100, by=(("api", 15), ("web", 5)))
    found = shop.one(fills=(fill,))
    assert found.code == "doctor-pool"
    assert found.evidence[1] == "db has 15 connections of api; 20 of its 100 are taken in all"
    assert "`pool_size`" in found.hint


def test_a_lock_that_others_wait_for_names_its_holder(shop: Shop) -> None:
    fill = Fill(service="db", kind="postgres", used=3, limit=100, blocked=(("api", "idle in transaction", 300),))
    found = shop.one(fills=(fill,))
    assert found.summary == "queries wait for a lock that api has held for 5 min (idle in transaction)"
    assert "`havre restart api`" in found.hint


BUSY = Load(
    idle=0.0,
    busiest=(
        Busy(name="miner", cpu=150.0, memory=MIB),
        Busy(name="api.1", instance="shop", service="api", cpu=40.0, memory=6 * GIB),
    ),
)


def test_a_busy_server_is_told_where_somebody_feels_it(shop: Shop) -> None:
    assert shop.problems(load=BUSY) == ()
    found = shop.problems(load=BUSY, visits=(visit(seconds=5.0),))[0]
    assert found.code == "doctor-server-cpu"
    assert found.evidence == ("1.5 CPUs  miner, not Havre's", "0.4 CPUs  api.1 of shop")


def test_a_server_without_memory_ranks_who_has_it(shop: Shop) -> None:
    found = shop.one(load=BUSY, server=ServerFacts(memory_total=8 * GIB, memory_available=GIB // 4))
    assert found.evidence[0] == "6 GiB  api.1 of shop"
    assert "give api of shop a smaller `mem_limit`" in found.hint


def test_a_crash_under_traffic_is_told_after_the_restart(shop: Shop) -> None:
    deaths = (Death(at=NOW - 120, exit_code=139),)
    lines = ((NOW - 121, "Segmentation fault (core dumped)"), (NOW - 100, "listening"))
    one = replace(replica("api", restarts=1, deaths=deaths), lines=lines)
    found = shop.put(one).one()
    assert "ended with exit code 139: it crashed in its own memory, 2 min ago, and was started again" in found.summary
    assert "log: Segmentation fault (core dumped)" in found.evidence
    asked = Death(at=NOW - 60, exit_code=143)
    assert shop.put(replace(one, deaths=(asked,))).problems() == ()


def refused(line: str) -> Any:
    probe = ProbeResult(state=HealthState.UNHEALTHY, asked="x", output="y", exit_code=1)
    return replica("api", lines=(line,), probe=probe)


def test_a_database_that_does_not_exist_is_told_beside_the_one_that_does(shop: Shop) -> None:
    shop.change("db", environment=(("POSTGRES_DB", "shop"), ("POSTGRES_PASSWORD", "good-pw-1")))
    found = shop.put(refused('FATAL:  database "shopp" does not exist (db:5432)')).one()
    assert found.summary == "asks db for the database shopp, which does not exist there"
    assert found.evidence[1] == "POSTGRES_DB of db: shop"
    assert "use shop in the setting" in found.hint


def test_a_redis_in_protected_mode_is_told(shop: Shop) -> None:
    found = shop.put(refused("DENIED Redis is running in protected mode (db)")).one()
    assert "is refused by db: its protected mode" in found.summary


def test_a_server_that_stores_no_more_is_told_though_it_looks_well(shop: Shop) -> None:
    shop.put(replica("api", lines=("OOM command not allowed when used memory > 'maxmemory'. (db)",)))
    found = shop.one()
    assert found.summary == "cannot work with db (the server refuses to store more)"
    assert "raise its `maxmemory`" in found.hint
