"""Facts about the server, looked up and told."""

from __future__ import annotations

from havre.model.server import Claim, FileFacts, Listener, PathFact, ServerFacts, VariableFact


def test_a_listener_tells_who_holds_the_port_as_far_as_we_may_know() -> None:
    assert str(Listener(port=80, address="0.0.0.0")) == "a process this user may not see"
    known = Listener(port=80, address="0.0.0.0", pid=812, program="caddy", user="www", detail="container x")
    assert str(known) == "pid 812 (caddy), user www, container x"


def test_claims_of_others_leave_out_ones_own_and_other_kinds() -> None:
    mine, theirs = Claim(instance="a", kind="port", value="1"), Claim(instance="b", kind="port", value="2")
    facts = ServerFacts(claims=(mine, theirs, Claim(instance="b", kind="host", value="x")))
    assert facts.claims_of_others("a", "port") == (theirs,)


def test_a_path_nobody_looked_at_is_unknown() -> None:
    fact = PathFact(path="/etc/x", kind="file")
    assert FileFacts(paths=(fact,)).at("/etc/x") == fact
    assert FileFacts().at("/etc/x") is None


def test_the_value_of_a_variable_is_never_shown() -> None:
    assert "hunter2" not in repr(VariableFact(name="PASSWORD", value="hunter2"))
