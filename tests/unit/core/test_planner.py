"""The planner on random states, splits, and what counts as a pod."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelrelease.core import observation, planner
from tests.unit.core import build

Pods = planner.RevisionPods
State = dict[str, planner.RevisionPods]
Targets = dict[str, int]
NAMES = ("s", "c", "old", "older")

groups = st.builds(
    Pods,
    desired=st.integers(0, 6),
    alive=st.integers(0, 6),
    terminating=st.integers(0, 3),
    serving=st.booleans(),
    ready=st.integers(0, 6),
).map(lambda p: Pods(p.desired, p.alive, p.terminating, min(p.ready, p.alive), serving=p.serving))
states = st.dictionaries(st.sampled_from(NAMES), groups, max_size=4)
targets = st.dictionaries(st.sampled_from(NAMES), st.integers(0, 6), max_size=2)
orders = st.permutations(NAMES[:2])


@given(states, targets, orders, st.integers(0, 8), st.integers(0, 6))
def test_growth_fits_into_what_is_seen_to_be_free(
    state: State, wanted: Targets, order: list[str], ceiling: int, floor: int
):
    new = planner.plan(state, wanted, order, ceiling, floor)
    held = sum(pods.held for pods in state.values())
    grown = sum(max(0, new[name] - state.get(name, Pods()).desired) for name in new)
    assert grown <= max(0, ceiling - held)
    assert sum(new.values()) <= max(ceiling, sum(pods.desired for pods in state.values()))


@given(states, targets, orders, st.integers(0, 8), st.integers(0, 6))
def test_no_shrink_takes_serving_pods_below_the_floor(
    state: State, wanted: Targets, order: list[str], ceiling: int, floor: int
):
    new = planner.plan(state, wanted, order, ceiling, floor)
    before = sum(pods.sure for pods in state.values() if pods.serving)
    after = sum(min(pods.ready, new[name]) for name, pods in state.items() if pods.serving)
    assert after >= min(before, floor)


@given(states, targets, orders, st.integers(0, 8), st.integers(0, 6))
def test_nothing_moves_away_from_its_target(
    state: State, wanted: Targets, order: list[str], ceiling: int, floor: int
):
    new = planner.plan(state, wanted, order, ceiling, floor)
    assert set(new) == set(state) | set(wanted) | set(order)
    for name, desired in new.items():
        present, target = state.get(name, Pods()).desired, wanted.get(name, 0)
        assert min(present, target) <= desired <= max(present, target)


@given(states, targets, orders, st.integers(0, 8), st.integers(0, 6))
def test_the_same_state_gives_the_same_plan(
    state: State, wanted: Targets, order: list[str], ceiling: int, floor: int
):
    shuffled = dict(reversed(state.items()))
    assert planner.plan(state, wanted, order, ceiling, floor) == planner.plan(
        shuffled, wanted, order, ceiling, floor
    )


def test_a_retained_failed_canary_takes_its_share_of_the_budget():
    state = {"s": Pods(4, 4, 0, 4, serving=True), "old": Pods(1, 1, 0, 1)}
    assert planner.plan(state, {"s": 4, "c": 1}, ("s", "c"), 5, 4) == {"s": 4, "c": 0, "old": 0}
    gone = {"s": state["s"], "old": Pods(0, 0, 0, 0)}
    assert planner.plan(gone, {"s": 4, "c": 1}, ("s", "c"), 5, 4)["c"] == 1


def test_pods_that_do_not_serve_go_at_once_and_serving_ones_only_as_the_floor_allows():
    state = {"s": Pods(4, 4, 0, 4, serving=True), "c": Pods(4, 4, 0, 2)}
    assert planner.plan(state, {"s": 0, "c": 0}, ("s", "c"), 8, 3) == {"s": 3, "c": 0}


def test_the_last_of_the_order_gives_pods_up_first():
    state = {name: Pods(4, 4, 0, 4, serving=True) for name in "sc"}
    assert planner.plan(state, {"s": 2, "c": 2}, ("s", "c"), 8, 7) == {"s": 4, "c": 3}
    assert planner.plan(state, {"s": 2, "c": 2}, ("c", "s"), 8, 7) == {"s": 3, "c": 4}


def test_the_first_of_the_order_gets_the_only_room():
    state = {"s": Pods(3, 3, 0, 3, serving=True), "c": Pods(1, 1, 0, 1)}
    assert planner.plan(state, {"s": 4, "c": 2}, ("s", "c"), 5, 3) == {"s": 4, "c": 1}
    assert planner.plan(state, {"s": 4, "c": 2}, ("c", "s"), 5, 3) == {"s": 3, "c": 2}


# --- Weights ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weight", "replicas", "surge", "expected"),
    [
        (25, 4, 1, (3, 1, 25, False)),
        (50, 4, 1, (2, 2, 50, False)),
        (10, 4, 1, (4, 1, 20, True)),
        (10, 8, 1, (8, 1, 11, True)),
        (10, 1, 1, (1, 1, 50, True)),
        (33, 2, 1, (2, 1, 33, False)),
        (99, 4, 1, (1, 4, 80, False)),
        (50, 1, 0, (0, 1, 100, True)),
        (50, 2, 0, (1, 1, 50, False)),
    ],
)
def test_split(weight: int, replicas: int, surge: int, expected: tuple[int, int, int, bool]):
    assert planner.split(weight, replicas, replicas + surge, replicas - 1) == planner.Split(*expected)


@given(st.integers(1, 99), st.integers(1, 20), st.integers(0, 5), st.integers(0, 5))
def test_a_weight_is_a_ceiling_or_the_smallest_share(
    weight: int, replicas: int, surge: int, unavailable: int
):
    ceiling, floor = replicas + surge, max(0, replicas - unavailable)
    split = planner.split(weight, replicas, ceiling, floor)
    assert floor <= split.stable + split.candidate <= ceiling
    assert split.candidate >= 1
    assert split.rounded is (split.attained_weight > weight)
    if split.rounded and ceiling > 1:
        smallest = min(
            round(100 * c / (s + c))
            for s in range(1, replicas + 1)
            for c in range(1, replicas + 1)
            if floor <= s + c <= ceiling
        )
        assert split.attained_weight == smallest


@given(st.integers(0, 20), st.integers(0, 5), st.integers(1, 5))
def test_check_targets_fit_the_ceiling(replicas: int, surge: int, canary: int):
    stable, candidate = planner.check_targets(replicas, replicas + surge, canary)
    assert candidate == canary
    assert 0 <= stable <= replicas
    assert stable + candidate <= max(replicas + surge, canary)


# --- Counting -----------------------------------------------------------------------------------------------


def test_only_pods_that_hold_resources_count():
    pods = (
        build.pod("ready"),
        build.pod("loading", ready=False),
        build.pod("leaving", terminating=True),
        build.pod("evicted", ready=False, finished=True),
    )
    observed = build.observed(build.revision(build.CANDIDATE, desired=2, pods=pods))
    assert planner.state_of(observed) == {build.CANDIDATE: Pods(2, 2, 1, 1)}


def test_a_revision_without_a_deployment_has_no_pods():
    observed = build.observed(build.revision(build.CANDIDATE, deployment=None))
    assert planner.state_of(observed) == {build.CANDIDATE: Pods()}


@pytest.mark.parametrize(
    ("traffic", "serving"),
    [
        (build.pinned(), {build.STABLE}),
        (build.pinned(build.CANDIDATE), {build.CANDIDATE}),
        (build.WIDENED, {build.STABLE, build.CANDIDATE}),
        (observation.Traffic(observation.Selects.NOTHING), set()),
        (observation.Traffic(observation.Selects.FOREIGN), set()),
    ],
)
def test_who_serves(traffic: observation.Traffic, serving: set[str]):
    observed = build.observed(build.revision(build.STABLE), build.revision(build.CANDIDATE), traffic=traffic)
    found = planner.state_of(observed)
    assert {name for name, pods in found.items() if pods.serving} == serving
