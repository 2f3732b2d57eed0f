"""Every interleaving of operator, ReplicaSets and kubelets, for every small budget.

The world is two revisions (stable, candidate), each with ``desired``, pods that load, Ready pods and pods
that terminate, plus what the traffic object selects. The operator takes turns in which any subset of its
writes may be lost (a crash); between turns one pod at a time starts, becomes Ready or goes. A search visits
every reachable state and asserts, in each:

* desired pods never exceed the ceiling, nor do existing pods, the terminating ones counted;
* no write of the operator takes serving pods below the floor;
* from every state a state is reachable in which the targets are met (nothing gets stuck).
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pytest

from modelrelease.core import planner

STABLE, CANDIDATE = "stable", "candidate"
BOTH = (STABLE, CANDIDATE)

Planner = Callable[..., dict[str, int]]
State = Mapping[str, planner.RevisionPods]


class Group(NamedTuple):
    desired: int
    loading: int
    ready: int
    leaving: int

    @property
    def alive(self) -> int:
        return self.loading + self.ready


class World(NamedTuple):
    stable: Group
    candidate: Group


class Scenario(NamedTuple):
    """One leg of a life: the traffic object stands, the pods move to the targets."""

    name: str
    replicas: int
    surge: int
    unavailable: int
    start: World
    targets: tuple[int, int]
    order: tuple[str, str]
    serving: frozenset[str]
    faults: bool = False

    @property
    def ceiling(self) -> int:
        return self.replicas + self.surge

    @property
    def floor(self) -> int:
        return max(0, self.replicas - self.unavailable)


class Broken(AssertionError):
    """An invariant does not hold."""


class Stuck(AssertionError):
    """The targets can't be reached any more."""


def observed(world: World, scenario: Scenario) -> dict[str, planner.RevisionPods]:
    return {
        name: planner.RevisionPods(
            group.desired, group.alive, group.leaving, group.ready, serving=name in scenario.serving
        )
        for name, group in zip(BOTH, world, strict=True)
    }


def pod_steps(group: Group, *, faults: bool) -> Iterator[Group]:
    """Everything that can happen to the pods of one Deployment next."""
    desired, loading, ready, leaving = group
    if group.alive < desired:
        yield Group(desired, loading + 1, ready, leaving)
    if group.alive > desired:
        # A ReplicaSet deletes pods that are not Ready first.
        yield (
            Group(desired, loading - 1, ready, leaving + 1)
            if loading
            else Group(desired, loading, ready - 1, leaving + 1)
        )
    if loading:
        yield Group(desired, loading - 1, ready + 1, leaving)
    if leaving:
        yield Group(desired, loading, ready, leaving - 1)
    if faults and ready:
        yield Group(desired, loading + 1, ready - 1, leaving)


def turns(world: World, scenario: Scenario, plan: Planner) -> Iterator[World]:
    """One turn of the operator, with every subset of its writes."""
    new = plan(
        observed(world, scenario),
        dict(zip(BOTH, scenario.targets, strict=True)),
        scenario.order,
        scenario.ceiling,
        scenario.floor,
    )
    for written in itertools.product((True, False), repeat=2):
        yield World(
            *(
                group._replace(desired=new[name]) if write else group
                for name, group, write in zip(BOTH, world, written, strict=True)
            )
        )


def sure(world: World, scenario: Scenario) -> int:
    return sum(
        min(group.ready, group.desired)
        for name, group in zip(BOTH, world, strict=True)
        if name in scenario.serving
    )


def check(world: World, scenario: Scenario) -> None:
    ceiling = max(scenario.ceiling, sum(group.desired for group in scenario.start))
    if sum(group.desired for group in world) > ceiling:
        raise Broken(f"{scenario.name}: asks for more than the ceiling: {world}")
    if sum(group.alive + group.leaving for group in world) > ceiling:
        raise Broken(f"{scenario.name}: more pods than the ceiling: {world}")


def settled(world: World, scenario: Scenario) -> bool:
    return all(
        group == Group(target, 0, target, 0) for group, target in zip(world, scenario.targets, strict=True)
    )


def explore(scenario: Scenario, plan: Planner = planner.plan) -> int:
    """Visit every reachable state; return how many there are."""
    seen = {scenario.start}
    queue = [scenario.start]
    before: dict[World, set[World]] = {}
    while queue:
        world = queue.pop()
        check(world, scenario)
        following = set(turns(world, scenario, plan))
        for after in following:
            if sure(after, scenario) < min(sure(world, scenario), scenario.floor):
                raise Broken(
                    f"{scenario.name}: a write takes serving pods below the floor: {world} -> {after}"
                )
        following |= {World(g, world.candidate) for g in pod_steps(world.stable, faults=scenario.faults)}
        following |= {World(world.stable, g) for g in pod_steps(world.candidate, faults=scenario.faults)}
        for after in following:
            before.setdefault(after, set()).add(world)
            if after not in seen:
                seen.add(after)
                queue.append(after)
    reach_targets(scenario, seen, before)
    return len(seen)


def reach_targets(scenario: Scenario, seen: set[World], before: dict[World, set[World]]) -> None:
    """Walk back from the settled states: every state must lead to one."""
    good = {world for world in seen if settled(world, scenario)}
    queue = list(good)
    while queue:
        for world in before.get(queue.pop(), ()):
            if world not in good:
                good.add(world)
                queue.append(world)
    if good != seen:
        raise Stuck(f"{scenario.name}: stuck in {min(seen - good)}")


def full(pods: int) -> Group:
    return Group(pods, 0, pods, 0)


def life(replicas: int, surge: int, unavailable: int) -> Iterator[Scenario]:
    """The legs of one life, forward and back, for one budget."""
    floor = max(0, replicas - unavailable)
    stable_kept, canary = planner.check_targets(replicas, replicas + surge, 1)
    split = planner.split(25, replicas, replicas + surge, floor)
    forward, final = BOTH, (CANDIDATE, STABLE)
    idle, checking = World(full(replicas), full(0)), World(full(stable_kept), full(canary))
    shifted, baking = World(full(split.stable), full(split.candidate)), World(full(surge), full(replicas))
    pinned, wide, swapped = frozenset({STABLE}), frozenset(BOTH), frozenset({CANDIDATE})
    legs = [
        ("start", idle, (stable_kept, canary), forward, pinned),
        ("split", checking, (split.stable, split.candidate), forward, wide),
        ("final", shifted, (surge, replicas), final, wide),
        ("settle", baking, (0, replicas), final, swapped),
        ("cancel", checking, (replicas, 0), forward, pinned),
        ("return from a step", shifted, (replicas, 0), forward, pinned),
        ("return from the bake", baking, (replicas, 0), forward, pinned),
        ("scale down", World(full(replicas + 2), full(0)), (replicas, 0), forward, pinned),
        ("scale up", World(full(1), full(0)), (replicas, 0), forward, pinned),
    ]
    for name, start, targets, order, serving in legs:
        label = f"{name} R={replicas} surge={surge} unavailable={unavailable}"
        yield Scenario(label, replicas, surge, unavailable, start, targets, order, serving)


def detours(replicas: int, surge: int, unavailable: int) -> Iterator[Scenario]:
    """From every stage of a life to every other one, whatever the traffic object selects meanwhile."""
    ceiling, floor = replicas + surge, max(0, replicas - unavailable)
    stages = {(replicas, 0), (surge, replicas), (0, replicas)}
    for canary in range(1, min(replicas, surge + unavailable) + 1):
        stages.add(planner.check_targets(replicas, ceiling, canary))
    for weight in (1, 10, 25, 50, 75, 99):
        split = planner.split(weight, replicas, ceiling, floor)
        stages.add((split.stable, split.candidate))
    servings = [frozenset({STABLE}), frozenset(BOTH), frozenset({CANDIDATE})]
    for start, targets, serving in itertools.product(sorted(stages), sorted(stages), servings):
        promised = sum(pods for name, pods in zip(BOTH, targets, strict=True) if name in serving)
        if start == targets or promised < floor:
            continue
        for order in (BOTH, BOTH[::-1]):
            label = f"{start}->{targets} R={replicas} surge={surge} unavailable={unavailable}"
            world = World(full(start[0]), full(start[1]))
            yield Scenario(label, replicas, surge, unavailable, world, targets, order, serving)


BUDGETS = [
    (replicas, surge, unavailable)
    for replicas in range(1, 6)
    for surge in range(3)
    for unavailable in range(3)
    if surge + unavailable >= 1
]


@pytest.mark.parametrize(("replicas", "surge", "unavailable"), BUDGETS)
def test_every_interleaving_keeps_the_budget_and_arrives(replicas: int, surge: int, unavailable: int):
    budget = (replicas, surge, unavailable)
    assert sum(explore(scenario) for scenario in itertools.chain(life(*budget), detours(*budget))) > 20


@pytest.mark.parametrize(("replicas", "surge", "unavailable"), [(2, 1, 0), (3, 0, 1), (3, 1, 1), (4, 1, 0)])
def test_lost_readiness_changes_nothing(replicas: int, surge: int, unavailable: int):
    for scenario in life(replicas, surge, unavailable):
        explore(scenario._replace(faults=True))


# --- Negative controls: the search sees what it must see ---------------------------------------------------


def test_control_without_surge_and_without_unavailability_nothing_moves():
    scenario = Scenario(
        "0/0", 2, 0, 0, World(full(2), full(0)), (1, 1), BOTH, frozenset({STABLE}), faults=False
    )
    with pytest.raises(Stuck):
        explore(scenario)


def legs(replicas: int, surge: int, unavailable: int) -> dict[str, Scenario]:
    return {scenario.name.split(" R=")[0]: scenario for scenario in life(replicas, surge, unavailable)}


def test_control_ignoring_terminating_pods_breaks_the_ceiling():
    def blind(state: State, *rest: Any) -> dict[str, int]:
        return planner.plan({name: seen(pods, terminating=0) for name, pods in state.items()}, *rest)

    with pytest.raises(Broken, match="more pods than the ceiling"):
        explore(legs(3, 1, 0)["final"], blind)


def test_control_ignoring_pods_still_to_be_created_breaks_the_ceiling(monkeypatch: pytest.MonkeyPatch):
    held = property(lambda pods: pods.alive + pods.terminating)
    monkeypatch.setattr(planner.RevisionPods, "held", held)
    with pytest.raises(Broken):
        explore(legs(3, 1, 0)["final"])


def seen(pods: planner.RevisionPods, **changes: int) -> planner.RevisionPods:
    return dataclasses.replace(pods, **changes)  # type: ignore[arg-type]


def test_control_spending_this_turns_shrink_breaks_the_ceiling_when_a_write_is_lost():
    def spendthrift(
        state: State, targets: Mapping[str, int], order: Sequence[str], ceiling: int, floor: int
    ) -> dict[str, int]:
        new = planner.plan(state, targets, order, ceiling, floor)
        room = ceiling - sum(new.values())
        for name in order:
            add = max(0, min(targets[name] - new[name], room))
            new[name] += add
            room -= add
        return new

    with pytest.raises(Broken):
        explore(legs(3, 1, 0)["final"], spendthrift)


def test_control_shrinking_without_the_floor_is_seen():
    def careless(state: State, targets: Mapping[str, int], *rest: Any) -> dict[str, int]:
        order, ceiling, _ = rest
        return planner.plan(state, targets, order, ceiling, 0)

    with pytest.raises(Broken, match="below the floor"):
        explore(legs(3, 1, 0)["final"], careless)
