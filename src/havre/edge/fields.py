"""The fields of a route's entry in the routes map, as the writer of the map and the reader of it agree on."""

from __future__ import annotations

import enum

BACKEND, FLAGS, PERIOD, LIMIT, BODY, INSTANCE, SERVICE, KEY = range(1, 9)
"""The numbers of the fields, as HAProxy's `field` counts them."""


class Flag(enum.Enum):
    """What the frontend must do for a route; each is one letter in the map's flags."""

    HTTPS = "s"
    REDIRECT = "r"
    MAINTENANCE = "m"
    LIMIT = "l"
    BODY = "b"
    HEADERS = "h"
