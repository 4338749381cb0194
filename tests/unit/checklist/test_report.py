"""Waivers, answers of people, looks that fail, and memory of what was in order before."""

from __future__ import annotations

from collections.abc import Callable

from launch_scene import MANIFEST, NOW, scene

from havre.checks.launch import ITEMS, Line, State, judge
from havre.checks.launch.document import checklist_page
from havre.model.launch import Confirmation, Firewall

Of = Callable[..., Line]
OFF = Firewall(is_active=False, by="nftables")
ANSWER = Confirmation(item="team-trained", at=NOW - 86400, by="ana", note="Luc and Ana", until="2027-06-30")


def waive(check: str, more: str = "") -> str:
    return f"{MANIFEST}waivers: [{{check: {check}, reason: the hosting has one{more}}}]\n"


def test_a_waiver_sets_a_failure_aside_and_shows_its_reason_and_end(line: Of) -> None:
    found = line("firewall", waive("firewall", ", until: 2027-03-31"), firewall=OFF)
    assert found.state is State.WAIVED
    assert found.waived[0].waiver.reason == "the hosting has one"
    assert found.waived[0].waiver.until == "2027-03-31"


def test_a_waiver_that_has_ended_sets_nothing_aside_and_is_told(line: Of) -> None:
    manifest = waive("firewall", ", until: 2026-12-31")
    assert line("firewall", manifest, firewall=OFF).state is State.FAILED
    assert "waiver-expired" in [one.code for one in scene(manifest).report.problems]


def test_a_waiver_for_one_subject_leaves_the_others(line: Of) -> None:
    assert line("firewall", waive("firewall", ", subject: elsewhere"), firewall=OFF).state is State.FAILED
    assert line("firewall", waive("firewall", ", subject: server"), firewall=OFF).state is State.WAIVED


def test_the_waiver_of_an_item_is_no_unknown_check(line: Of) -> None:
    assert "waiver-unknown" not in [one.code for one in scene(waive("team-trained")).report.problems]
    assert "waiver-unknown" in [one.code for one in scene(waive("team-traned")).report.problems]
    assert line("team-trained", waive("team-trained")).state is State.WAIVED


def test_what_only_people_know_is_asked_until_somebody_answers(line: Of) -> None:
    open_question = line("team-trained")
    assert open_question.state is State.PERSON
    assert open_question.hints == ('`havre checklist confirm team-trained --note "…"` records your answer',)
    answered = line("team-trained", confirmations=(ANSWER,))
    assert answered.state is State.CONFIRMED
    assert answered.confirmed_at == ANSWER.at


def test_an_answer_ends_and_is_asked_for_again(line: Of) -> None:
    ended = Confirmation(item="team-trained", at=NOW - 9e6, by="ana", note="Luc", until="2026-12-31")
    found = line("team-trained", confirmations=(ended,))
    assert found.state is State.PERSON
    assert found.confirmation == ended


def test_what_was_seen_to_be_wrong_is_not_confirmed_away(line: Of) -> None:
    answer = Confirmation(item="firewall", at=NOW, by="ana", note="it is fine", until="2027-06-30")
    assert line("firewall", confirmations=(answer,), firewall=OFF).state is State.FAILED
    hidden = Firewall(is_active=None, by="nft: Operation not permitted")
    assert line("firewall", confirmations=(answer,), firewall=hidden).state is State.CONFIRMED
    assert line("firewall", firewall=hidden).state is State.PERSON


def test_a_look_that_failed_is_told_and_never_taken_for_good(line: Of) -> None:
    found = line("log-bounds", unseen=(("policies", "the Docker Engine does not answer"),))
    assert found.state is State.UNSEEN
    assert found.reason == "the Docker Engine does not answer"


def test_a_failure_remembers_when_it_was_last_in_order(line: Of) -> None:
    assert line("firewall", firewall=OFF, passed=(("firewall", NOW - 500),)).confirmed_at == NOW - 500
    assert line("firewall", firewall=OFF).confirmed_at is None


def test_every_item_is_documented_promised_by_a_guide_and_has_a_name_of_its_own() -> None:
    page = checklist_page()
    assert len({item.id for item in ITEMS}) == len(ITEMS)
    for item in ITEMS:
        assert f"### `{item.id}` ({item.level.value})" in page
        assert item.guides, item.id
        assert item.doc.endswith((".", ")")), item.id
        assert not item.asks or item.asks.endswith("?"), item.id


def test_every_item_that_the_guides_list_is_there() -> None:
    promised = {row for item in ITEMS for row in item.promised}
    wanted = [f"L{n}" for n in range(46, 59)] + [f"S{n}" for n in range(32, 40)] + [f"M{n}" for n in range(43, 55)]
    wanted += [f"C{n}" for n in range(71, 90)] + [f"T{n}" for n in range(36, 41)]
    assert [row for row in wanted if row not in promised] == []


def test_the_counts_say_how_many_items_stand_how() -> None:
    counts = dict(judge(scene(firewall=OFF), ITEMS).counts())
    assert counts[State.FAILED] == 1
    assert sum(counts.values()) == len(ITEMS)
