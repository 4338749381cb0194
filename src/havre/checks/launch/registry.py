"""The table of all items, in the order in which they are shown; nothing registers itself."""

from __future__ import annotations

from havre.checks.launch import data, network, people, running, secrecy, tls, web
from havre.checks.launch.item import Item

SECTIONS: tuple[tuple[str, tuple[Item, ...]], ...] = (
    ("Running", running.ITEMS),
    ("Visitors", (*tls.ITEMS, *web.ITEMS)),
    ("Network", network.ITEMS),
    ("Data", data.ITEMS),
    ("Secrets", secrecy.ITEMS),
    ("Operations", people.ITEMS),
)

ITEMS: tuple[Item, ...] = tuple(item for _, items in SECTIONS for item in items)
ITEM_IDS: frozenset[str] = frozenset(item.id for item in ITEMS)


def item_called(item_id: str) -> Item | None:
    """The item with that id, or None."""
    return next((item for item in ITEMS if item.id == item_id), None)
