"""The reference page of the checks, written from their registry: `python -m havre.checks.document`."""

from __future__ import annotations

import sys
from textwrap import fill

from havre.checks.registry import FAMILIES

WIDTH = 120
HEAD = """\
# Checks

<!-- Generated from src/havre/checks/ by `python -m havre.checks.document`; a test holds the two together. -->

`havre check` runs all of these and touches nothing; every deploy runs them first. An **error** stops the deploy, a
**warning** is shown, a **note** explains. Facts that nobody could gather are not judged.

To set a check aside on purpose, say so in `havre.yaml`; the waiver is shown in every report until it ends:

```yaml
waivers:
  - {check: memory-admission, reason: the second app moves out in June, until: 2027-06-30}
  - {check: port-public, subject: postgres, reason: read by the office's firewall only}
```
"""


def checks_page() -> str:
    """The whole page, as Markdown."""
    lines = [HEAD]
    for family, checks in FAMILIES:
        lines.append(f"## {family}\n")
        for check in checks:
            lines.append(f"### `{check.id}` ({check.severity.value})\n")
            lines.append(fill(f"{check.title[0].upper()}{check.title[1:]}. {check.doc}", WIDTH) + "\n")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(checks_page())
