"""How many replicas a load asks for: at once upwards, one at a time downwards, never to and fro."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from havre.model.app import Autoscale
from havre.planning.autoscaling import Load, decide

POLICY = Autoscale(service="api", least=1, most=10, cpu=70, memory=80)


@pytest.mark.parametrize(
    ("load", "wanted"),
    [
        (Load(replicas=1, cpu=70.0), 1),
        (Load(replicas=1, cpu=76.0), 1),
        (Load(replicas=1, cpu=98.0), 2),
        (Load(replicas=4, cpu=98.0), 6),
        (Load(replicas=2, cpu=300.0), 4),
        (Load(replicas=8, cpu=100.0), 10),
        (Load(replicas=3, cpu=20.0), 2),
        (Load(replicas=2, cpu=34.0), 2),
        (Load(replicas=2, cpu=31.0), 1),
        (Load(replicas=1, cpu=0.0), 1),
        (Load(replicas=2, cpu=5.0, memory=95.0), 3),
        (Load(replicas=3), 3),
        (Load(replicas=12, cpu=70.0), 10),
    ],
)
def test_the_busiest_of_cpu_and_memory_decides(load: Load, wanted: int) -> None:
    assert decide(POLICY, load).wanted == wanted


def test_it_says_why() -> None:
    assert str(decide(POLICY, Load(replicas=1, cpu=98.4))) == "api: 1 replica at 98% cpu, target 70%: 2 wanted"
    assert str(decide(POLICY, Load(replicas=2, cpu=60.0))) == "api: 2 replicas at 60% cpu, target 70%: enough"
    assert str(decide(POLICY, Load(replicas=2))) == "api: 2 replicas whose load is not known: enough"


@given(st.integers(1, 10), st.floats(0, 1000), st.integers(1, 100))
def test_a_replica_that_goes_is_not_called_back_by_the_same_load(replicas: int, cpu: float, target: int) -> None:
    policy = Autoscale(service="api", most=10, cpu=target)
    down = decide(policy, Load(replicas=replicas, cpu=cpu))
    if down.wanted < replicas:
        spread = cpu * replicas / down.wanted
        assert decide(policy, Load(replicas=down.wanted, cpu=spread)).wanted <= down.wanted
