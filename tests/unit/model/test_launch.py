"""What a machine does by itself is recognised as what it is."""

from __future__ import annotations

import pytest

from havre.model.launch import Automation

UNIT = '"/opt/havre/bin/python" "-m" "havre" "boot" "now" "--state" "/var/lib/havre"'


@pytest.mark.parametrize(
    ("command", "schedule", "state", "brings_back"),
    [
        (UNIT, "boot", "/var/lib/havre", True),
        (UNIT, "boot", "/srv/other", False),
        (UNIT, "boot", "", True),
        (UNIT, "0 2 * * *", "/var/lib/havre", False),
        ("/usr/bin/havre boot now >>/var/log/boot.log 2>&1", "@reboot", "/var/lib/havre", True),
        ("/usr/bin/havre boot now --state=/srv/a", "@reboot", "/srv/a", True),
        ("/usr/bin/havre edge restart", "@reboot", "/srv/a", True),
        ("/usr/bin/havre backup take db", "boot", "", False),
    ],
)
def test_what_brings_apps_back_is_known(command: str, schedule: str, state: str, brings_back: bool) -> None:
    assert Automation(place="x", schedule=schedule, command=command).brings_back(state) is brings_back
    assert not Automation(place="x", schedule=schedule, command=command, runs=False).brings_back(state)
