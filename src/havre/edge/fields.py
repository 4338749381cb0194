"""The fields of a route's entry in the routes map, as the writer of the map and the reader of it agree on."""

from __future__ import annotations

import enum

BACKEND, FLAGS, PERIOD, LIMIT, BODY, KEY, OWNER, LOG = range(1, 9)
"""The numbers of the fields, as HAProxy's `field` counts them.

The last is a piece of the access log's JSON, from the app's name to the route's, without the outer quotes: a log line
of a request without a route (where HAProxy writes a dash instead) stays JSON.
"""

REDIRECT, MAINTENANCE, SECURE, BOUNDED = "havre.redirect", "havre.maintenance", "havre.secure", "havre.bounded"
"""Backends of our own: what they do for a few requests costs the others nothing."""


class Flag(enum.Enum):
    """What the frontend must do for a route; each is one letter in the map's flags."""

    HTTPS = "s"
    LIMIT = "l"
    BODY = "b"
    HEADERS = "h"
