"""The production checklist: small judgements over what the live server just showed, one per promise of a launch."""

from havre.checks.launch.item import Item, Judgement, Level, State
from havre.checks.launch.registry import ITEM_IDS, ITEMS, SECTIONS, item_called
from havre.checks.launch.report import Checklist, Line, judge
from havre.checks.launch.scene import Scene

__all__ = [
    "ITEMS",
    "ITEM_IDS",
    "SECTIONS",
    "Checklist",
    "Item",
    "Judgement",
    "Level",
    "Line",
    "Scene",
    "State",
    "item_called",
    "judge",
]
