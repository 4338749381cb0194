"""What this machine's firewall lets in, as the kernel has it now: nftables, or iptables where nft is not installed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from havre.errors import HavreError
from havre.host.commands import Completed, find_program, run
from havre.model.launch import Firewall

PATIENCE = 10.0
_REFUSING = ("DROP", "REJECT")


def read_firewall() -> Firewall:
    """Look once; `is_active` is None where this user may not look, or where no tool is installed."""
    found = [one for one in (_nftables(), *_iptables()) if one is not None]
    if not found:
        return Firewall(by="neither nft nor iptables is installed")
    active = next((one for one in found if one.is_active), None)
    known = next((one for one in found if one.is_active is False), None)
    return active or known or found[0]


def _nftables() -> Firewall | None:
    done = _ask("nft", "-j", "list", "ruleset")
    if done is None:
        return None
    if done.exit_code != 0:
        return Firewall(by=f"nft: {done.stderr.strip()[:80]}")
    return judge_ruleset(msgspec.json.decode(done.stdout.encode() or b"{}"))


def judge_ruleset(ruleset: Mapping[str, Any]) -> Firewall:
    """A ruleset as `nft -j` prints it: active when some chain of incoming packets refuses what it does not let in."""
    entries = ruleset.get("nftables", [])
    chains = [entry["chain"] for entry in entries if entry.get("chain", {}).get("hook") == "input"]
    rules = [entry["rule"] for entry in entries if "rule" in entry]
    for chain in chains:
        own = [rule["expr"] for rule in rules if _place(rule, "chain") == _place(chain, "name")]
        if chain.get("policy") == "drop" or (own and _refuses_all(own[-1])):
            name = f"nftables, chain {chain['family']} {chain['table']} {chain['name']}"
            everywhere = [rule["expr"] for rule in rules if rule["table"] == chain["table"]]
            return Firewall(is_active=True, by=name, opens=tuple(dict.fromkeys(_opened(everywhere))))
    return Firewall(is_active=False, by="nftables")


def _place(entry: Mapping[str, Any], name: str) -> tuple[str, str, str]:
    return entry["family"], entry["table"], entry[name]


def _refuses_all(expressions: Sequence[Mapping[str, Any]]) -> bool:
    """A last rule without a condition that drops or rejects."""
    kinds = {key for expression in expressions for key in expression}
    return bool(kinds & {"drop", "reject"}) and "match" not in kinds


def _opened(rules: Sequence[Sequence[Mapping[str, Any]]]) -> Iterator[str]:
    for expressions in rules:
        if not any("accept" in expression for expression in expressions):
            continue
        for expression in expressions:
            match = expression.get("match", {})
            left = match.get("left", {})
            if isinstance(left, dict) and left.get("payload", {}).get("field") == "dport":
                yield f"{left['payload']['protocol']} {_ports(match['right'])}"


def _ports(right: Any) -> str:
    if isinstance(right, dict) and "set" in right:
        return ", ".join(_ports(one) for one in right["set"])
    if isinstance(right, dict) and "range" in right:
        return "-".join(map(str, right["range"]))
    return str(right)


def _iptables() -> Iterator[Firewall | None]:
    """Both kinds of tables may be in use, each with its own tool."""
    for program in ("iptables", "iptables-legacy"):
        done = _ask(program, "-S")
        if done is not None:
            yield judge_iptables(done.stdout) if done.exit_code == 0 else Firewall(by=f"{program} may not be asked")


def judge_iptables(text: str) -> Firewall:
    """What `iptables -S` prints: active when INPUT refuses by policy or by its last rule."""
    lines = text.splitlines()
    own = [line for line in lines if line.startswith("-A INPUT ")]
    refuses = any(f"-P INPUT {word}" in lines for word in _REFUSING)
    refuses = refuses or bool(own and re.fullmatch(r"-A INPUT -j (?:DROP|REJECT)(?: --reject-with \S+)?", own[-1]))
    by = "ufw" if any("ufw" in line for line in own) else "iptables"
    opened = [
        f"{protocol[1] if (protocol := re.search(r'-p (tcp|udp)', line)) else 'any'} {port[1]}"
        for line in lines
        if line.endswith("-j ACCEPT") and (port := re.search(r"--dports? (\S+)", line))
    ]
    return Firewall(is_active=refuses, by=by, opens=tuple(dict.fromkeys(opened)))


def _ask(program: str, *arguments: str) -> Completed | None:
    """What a tool said; None where it is not installed or does not answer."""
    path = find_program(program)
    if path is None:
        return None
    try:
        return run([path, *arguments], check=False, timeout=PATIENCE)
    except HavreError:
        return None
