"""The fields of a route's entry in the routes map, as the writer of the map and the reader of it agree on."""

from __future__ import annotations

import enum

MARK, BACKEND, LIMIT, BODY, PERIOD, LOG = 1, 2, 3, 4, 5, -1
"""The numbers of the fields, as HAProxy's `field` counts them (from the end, below zero).

It reads a value letter by letter up to the field's end, for every request: what is short and asked for often comes
first. The last is a piece of the access log's JSON, from the app's name to the route's, without the outer quotes: a log
line of a request without a route (where HAProxy writes a dash instead) stays JSON. See `KEY` for its end.
"""
KEY = 'var(txn.route),field(-1,\\")'
"""The key under which a route was found, as HAProxy reads it: the last word of the piece of the log."""

REDIRECT, MAINTENANCE, SECURE, BOUNDED = "havre.redirect", "havre.maintenance", "havre.secure", "havre.bounded"
"""Backends of our own: what they do for a few requests costs the others nothing."""


class Mark(enum.Enum):
    """What the frontend must do for a route beyond its limits: the letter that its entry begins with."""

    NOTHING = "-"
    HTTPS = "s"
    HEADERS = "h"
    BOTH = "b"


IS_FOR_HTTPS = f"{{ var(txn.route) -m beg {Mark.HTTPS.value} {Mark.BOTH.value} }}"
HAS_HEADERS = f"{{ var(txn.route) -m beg {Mark.HEADERS.value} {Mark.BOTH.value} }}"
