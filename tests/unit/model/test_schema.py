"""What a person is told of two states of a schema."""

from __future__ import annotations

from havre.model.schema import SchemaState


def test_the_parts_of_a_new_table_go_without_saying() -> None:
    before = SchemaState(
        shape=frozenset({"table public.t", "column public.t.id integer", "index public.i of public.t"})
    )
    after = SchemaState(
        shape=frozenset(
            {
                "table public.t", "column public.t.id integer", "column public.t.half text", "table public.half",
                "column public.half.id integer", "index public.half_pkey of public.half",
                "constraint k of public.half: PRIMARY KEY (id)", "constraint c of public.t: CHECK (id > 0)",
            }
        )
    )  # fmt: skip
    assert after.differences(before) == (
        "added: table public.half",
        "added: column public.t.half text",
        "added: constraint c of public.t: CHECK (id > 0)",
        "removed: index public.i of public.t",
    )
    assert after.differences(after) == ()


def test_one_revision_is_shown_alone_and_several_with_their_databases() -> None:
    assert SchemaState().head is None
    assert SchemaState(heads=(("shop", "a1"),)).head == "a1"
    assert SchemaState(heads=(("shop", "a1"), ("users", "4"))).head == "shop: a1, users: 4"
