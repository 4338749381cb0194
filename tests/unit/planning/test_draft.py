"""Writing a plan: numbers, waits and notes; and the canonical form of where the edge leads."""

from __future__ import annotations

from havre.model.plan import Phase, RestartReplica
from havre.planning.draft import Draft
from havre.planning.facts import EdgeFacts, ordered


def test_steps_are_numbered_as_they_come_and_wait_for_each_step_once() -> None:
    draft = Draft("shop")
    assert Draft("shop").is_empty
    one = draft.add(RestartReplica(service="a", slot=1), "x", phase=Phase.START)
    two = draft.add(RestartReplica(service="b", slot=1), "y", phase=Phase.START)
    draft.add(RestartReplica(service="c", slot=1), "z", phase=Phase.START, after=[two, one, two])
    assert not draft.is_empty
    assert str(draft.plan().steps[2]) == "3. start again c.1: z [after 1, 2]"


def test_a_note_is_said_once() -> None:
    draft = Draft("shop")
    draft.note("once")
    draft.note("once")
    assert draft.plan().notes == ("once",)


def test_where_the_edge_leads_has_one_form() -> None:
    assert ordered((("b", (2, 1)), ("c", ()), ("a", (3,)))) == (("a", (3,)), ("b", (1, 2)))


def test_a_replica_may_answer_while_it_is_led_to_or_leaving() -> None:
    facts = EdgeFacts(inside=frozenset({"a"}), now=(("a", (1,)),), leaving=(("a", (2,)),))
    assert [facts.may_answer("a", slot) for slot in (1, 2, 3)] == [True, True, False]
    assert facts.services == {"a"}
