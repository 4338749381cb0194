"""What a ruleset lets in, from what the tools print."""

from __future__ import annotations

from typing import Any

import pytest

from havre.host.firewall import judge_iptables, judge_ruleset

CHAIN = {"family": "inet", "table": "f", "name": "input", "hook": "input"}
WHERE = {"family": "inet", "table": "f", "chain": "input"}
SSH = {"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 22}}
WEB = {
    "match": {
        "left": {"payload": {"protocol": "tcp", "field": "dport"}},
        "right": {"set": [80, {"range": [8000, 8010]}]},
    }
}
UFW = """\
-P INPUT DROP
-P FORWARD DROP
-N ufw-user-input
-A INPUT -j ufw-before-input
-A ufw-user-input -p tcp -m tcp --dport 22 -j ACCEPT
-A ufw-user-input -p tcp -m multiport --dports 80,443 -j ACCEPT
"""


def ruleset(policy: str, *rules: list[Any]) -> dict[str, Any]:
    entries: list[Any] = [{"chain": {**CHAIN, "policy": policy}}]
    return {"nftables": entries + [{"rule": {**WHERE, "expr": expressions}} for expressions in rules]}


def test_a_chain_that_drops_by_policy_is_a_firewall_and_says_what_it_lets_in() -> None:
    found = judge_ruleset(ruleset("drop", [SSH, {"accept": None}], [WEB, {"accept": None}]))
    assert found.is_active
    assert found.opens == ("tcp 22", "tcp 80, 8000-8010")


def test_a_last_rule_that_refuses_all_is_one_too() -> None:
    assert judge_ruleset(ruleset("accept", [SSH, {"accept": None}], [{"reject": None}])).is_active


@pytest.mark.parametrize(
    "rules",
    [
        [],
        [[SSH, {"accept": None}]],
        [[SSH, {"drop": None}]],
        [[{"reject": None}], [SSH, {"accept": None}]],
    ],
)
def test_a_chain_that_lets_in_by_policy_is_none(rules: list[Any]) -> None:
    assert judge_ruleset(ruleset("accept", *rules)).is_active is False


def test_docker_s_own_chains_are_no_firewall() -> None:
    forward = {"family": "ip", "table": "filter", "name": "FORWARD", "hook": "forward", "policy": "drop"}
    assert judge_ruleset({"nftables": [{"chain": forward}]}).is_active is False


def test_ufw_is_seen_in_iptables_with_its_ports() -> None:
    found = judge_iptables(UFW)
    assert (found.is_active, found.by, found.opens) == (True, "ufw", ("tcp 22", "tcp 80,443"))


def test_iptables_as_docker_leaves_it_lets_everything_in() -> None:
    assert judge_iptables("-P INPUT ACCEPT\n-P FORWARD DROP\n-A FORWARD -j DOCKER-USER\n").is_active is False
    assert judge_iptables("-P INPUT ACCEPT\n-A INPUT -j REJECT --reject-with icmp-port-unreachable\n").is_active
