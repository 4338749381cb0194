"""What several parts of the configuration write alike."""

from __future__ import annotations

HTTP, TCP = "havre-http", "havre-tcp"
"""The two named sections of defaults."""
NO_REPEAT = "  http-request disable-l7-retry unless { method GET HEAD OPTIONS }"
"""Nobody repeats what may have been done already."""
