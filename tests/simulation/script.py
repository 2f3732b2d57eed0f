"""What happens in a life: drawn from the seed before it begins, so that it can be shrunk and told again."""

import dataclasses
import json
import random
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

LIFE_SECONDS: Final = 2400.0
COMPANY: Final = 0.5
"""Share of the lives with more than one release."""
DRIFTS: Final = 0.4
"""Share of the lives in which a later pod may be another product than the earlier ones."""
NEIGHBOURS: Final = ("embedder-b", "embed", "embedder-r1")
"""Names that begin like the first release's, or that it begins with."""
LEFT_ALONE_AFTER: Final = 700.0
"""From then on nobody touches the releases that are left alone."""

BEHAVIOURS: Final = (
    "good",
    "good",
    "good",
    "slow",
    "crash",
    "casing",
    "burn",
    "mute",
    "shaky",
    "quiet",
    "hungry",
)


@dataclasses.dataclass(frozen=True, slots=True)
class Event:
    """Something that a person, the cluster or bad luck does."""

    at: float
    verb: str
    args: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __str__(self) -> str:
        said = ", ".join(f"{key}={value!r}" for key, value in self.args.items())
        return f"{self.at:7.1f} s  {self.verb}({said})"


@dataclasses.dataclass(frozen=True, slots=True)
class Life:
    """A seed, how the release is set up, and what happens to it."""

    seed: int
    setup: Mapping[str, Any]
    events: tuple[Event, ...]
    seconds: float = LIFE_SECONDS
    """How long it lasts before everything calms down."""

    def save(self, path: Path) -> None:
        """Write the life as JSON."""
        path.write_text(json.dumps(dataclasses.asdict(self), indent=1), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "Life":
        """Read a life."""
        said = json.loads(path.read_text(encoding="utf-8"))
        return cls(said["seed"], said["setup"], tuple(Event(**e) for e in said["events"]), said["seconds"])

    def __str__(self) -> str:
        return "\n".join([f"setup {dict(self.setup)}", *map(str, self.events)])


def generate(seed: int, *, plain: bool = False, alone: bool = False) -> Life:
    """Draw a life.

    Parameters
    ----------
    seed
        Of everything in it.
    plain
        Without artifacts, shards and other vector spaces: the life that a seed gave before there were any.
    alone
        Without other releases, moved tags and other GPUs, likewise.
    """
    life = _plain(seed, str(seed))
    if plain:
        return life
    life = _enriched(life, str(seed))
    return life if alone else _with_company(_with_drift(life))


def _with_drift(life: Life) -> Life:
    """Let later pods be another product than the earlier ones: a tag is moved, or another node is filled."""
    chance = random.Random(f"{life.seed}/drift")
    if chance.random() > DRIFTS:
        return life
    drawn: list[tuple[str, Mapping[str, Any]]] = [
        ("move_tag", {"who": chance.choice(_WHO)})
        if chance.random() < 0.6
        else ("fill_node", {"node": chance.choice(["node-1", "node-2", "node-2"])})
        for _ in range(chance.randint(1, 4))
    ]
    # In the minutes after a commit: then a run is under way.
    commits = [event.at for event in life.events if event.verb == "commit"]
    drifts = [Event(round(chance.choice(commits) + chance.uniform(5.0, 150.0), 1), *said) for said in drawn]
    return dataclasses.replace(
        life,
        setup=dict(life.setup) | {"gpus": chance.random() < 0.8},
        events=_sorted([*life.events, *drifts]),
    )


def _with_company(life: Life) -> Life:
    """Let other releases live beside the first one, some of them left alone by everybody."""
    chance = random.Random(f"{life.seed}/company")
    if chance.random() > COMPANY:
        return life
    names = chance.sample(NEIGHBOURS, chance.choice([1, 1, 1, 2]))
    shared = {"shares": chance.random() < 0.5}
    events = [_alone(event, chance) for event in life.events]
    others = {}
    for name in names:
        other = _enriched(_plain(life.seed, f"{life.seed}/{name}"), f"{life.seed}/{name}")
        others[name] = dict(other.setup) | shared
        left_alone = chance.random() < 0.5
        for event in other.events:
            early = event.verb == "commit" and event.at < LEFT_ALONE_AFTER
            if early if left_alone else event.verb in _OWN:
                said = _alone(event, chance, always=True)
                events.append(dataclasses.replace(said, args=dict(said.args) | {"release": name}))
    if shared["shares"]:
        for index in range(chance.randint(1, 3)):
            at = round(chance.uniform(60.0, LIFE_SECONDS), 1)
            lost = ("lose_config", {"seconds": chance.choice([20.0, 120.0])})
            events.append(Event(at, *chance.choice([("rotate", {"number": index}), lost])))
    setup = dict(life.setup) | shared | {"others": others, "turnsAtOnce": chance.choice([1, 1, 2, 4])}
    setup["capacity"] = chance.choice([8, 12, 18])
    return dataclasses.replace(life, setup=setup, events=_sorted(events))


def _alone(event: Event, chance: random.Random, *, always: bool = False) -> Event:
    """Let a fault meet the turns of one release only."""
    if event.verb == "fault" and (always or chance.random() < 0.5):
        return dataclasses.replace(event, args=dict(event.args) | {"alone": True})
    return event


def _sorted(events: Iterable[Event]) -> tuple[Event, ...]:
    return tuple(sorted(events, key=lambda event: event.at))


def _enriched(life: Life, of: str) -> Life:
    """Add what was invented later, by a chance of its own: the rest of a life stays as it was."""
    chance = random.Random(f"{of}/more")
    setup = dict(life.setup) | {"artifact": chance.random() < 0.4, "shards": chance.choice([1, 1, 1, 2, 3])}
    spaces = chance.random() < 0.25
    events = []
    for event in life.events:
        args = dict(event.args)
        if event.verb == "commit" and setup["artifact"] and chance.random() < 0.2:
            args["behaviour"] = "tampered"
        if event.verb == "commit" and spaces and chance.random() < 0.4:
            args["space"] = "elsewhere"
        events.append(dataclasses.replace(event, args=args))
    return _with_shares(_with_scarce(dataclasses.replace(life, setup=setup, events=tuple(events)), of), of)


def _with_scarce(life: Life, of: str) -> Life:
    """Add revisions that nobody asks enough to judge them, likewise."""
    chance = random.Random(f"{of}/scarce")
    setup = dict(life.setup) | {"scarce": chance.choice(["Hold", "Hold", "Skip", "RollBack"])}
    events = []
    for event in life.events:
        args = dict(event.args)
        if event.verb == "commit" and chance.random() < 0.15:
            args["behaviour"] = "scarce"
        if event.verb == "approve" and chance.random() < 0.4:
            args["stage"] = "Infeasible"
        events.append(dataclasses.replace(event, args=args))
    return dataclasses.replace(life, setup=setup, events=tuple(events))


def _with_shares(life: Life, of: str) -> Life:
    """Say some pod budgets in percent, likewise."""
    chance = random.Random(f"{of}/shares")

    def share() -> dict[str, Any]:
        return {"surge": chance.choice([0, "25%", "60%"]), "unavailable": chance.choice([1, "25%", "60%"])}

    setup = dict(life.setup) | ({"canary": 1, **share()} if chance.random() < 0.2 else {})
    events = [
        dataclasses.replace(event, args=share())
        if event.verb == "budget" and chance.random() < 0.5
        else event
        for event in life.events
    ]
    return dataclasses.replace(life, setup=setup, events=tuple(events))


def _plain(seed: int, of: str) -> Life:
    chance = random.Random(seed if of == str(seed) else of)
    setup = _setup(chance)
    moments = sorted(chance.uniform(60.0, LIFE_SECONDS) for _ in range(chance.randint(12, 45)))
    events = [Event(round(at, 1), *_draw(chance)) for at in moments]
    commits = sorted(chance.uniform(70.0, LIFE_SECONDS) for _ in range(chance.randint(3, 8)))
    events += [
        Event(round(at, 1), "commit", {"behaviour": chance.choice(BEHAVIOURS), "number": 100 + index})
        for index, at in enumerate(commits)
    ]
    if chance.random() < 0.5:
        events.append(Event(round(chance.uniform(0.0, 60.0), 1), *_trouble(chance)))
    return Life(seed, setup, _sorted(events))


def _setup(chance: random.Random) -> dict[str, Any]:
    surge, unavailable = chance.choice([(1, 0), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2), (0, 1), (0, 2)])
    weights = sorted(chance.sample([10, 25, 50, 75], chance.choice([0, 1, 1, 2])))
    return {
        "replicas": chance.randint(1, 5),
        "surge": surge,
        "unavailable": unavailable,
        "canary": chance.randint(1, surge + unavailable),
        "steps": [[weight, chance.choice([15, 30, 60])] for weight in weights],
        "bake": chance.choice([20, 60]),
        "drain": chance.choice([0, 5, 15]),
        "warmup": chance.choice([0, 0, 5]),
        "retain": chance.choice([0, 0, 40]),
        "slos": chance.random() < 0.8,
        "approval": chance.choice(["None", "None", "None", "BeforeTraffic", "BeforeFull"]),
        "supersede": chance.choice(["Cancel", "Cancel", "Queue"]),
        "enforcement": chance.choice(["Enforce"] * 7 + ["Observe"]),
        "onInconclusive": chance.choice(["RollBack", "Hold"]),
        "onError": chance.choice(["Hold", "RollBack"]),
        "window": chance.choice([3, 3, 0]),
        "capacity": chance.choice([12, 12, 6]),
        "jobFault": chance.choice([0.0, 0.1, 0.3]),
        "first": chance.choice(["good"] * 8 + ["crash", "casing"]),
    }


_WHO: Final = ("candidate", "candidate", "stable", "previous")
_APPROVALS: Final = ("BeforeTraffic", "BeforeFull")

# The user's, on call and at rest, with how often.
_PEOPLE: Final[Mapping[str, tuple[int, Callable[[random.Random], Mapping[str, Any]]]]] = {
    "revert": (4, lambda c: {"who": c.choice(["stable", "previous"])}),
    "reject": (4, lambda c: {"who": c.choice(_WHO)}),
    "unreject": (3, lambda c: {}),
    "pin": (2, lambda c: {"who": c.choice(_WHO)}),
    "unpin": (2, lambda c: {}),
    "pause": (2, lambda c: {}),
    "resume": (3, lambda c: {}),
    "approve": (4, lambda c: {"stage": c.choice(_APPROVALS)}),
    "waive": (2, lambda c: {"check": c.choice(["parity", "availability", "contract"])}),
    "force": (1, lambda c: {"who": c.choice(_WHO)}),
    "unforce": (2, lambda c: {}),
    "retry": (2, lambda c: {}),
    "scale": (3, lambda c: {"replicas": c.choice([0, 1, 1, 2, 3, 4, 5])}),
    "budget": (1, lambda c: {"surge": c.choice([0, 1, 2]), "unavailable": c.choice([0, 1, 2])}),
    "rejudge": (2, lambda c: {"hold": c.choice([10, 20, 45])}),
    "say": (1, lambda c: {"version": str(c.randint(1, 9))}),
    "delete_pod": (3, lambda c: {"index": c.randrange(6)}),
    "delete_run": (1, lambda c: {"index": c.randrange(3)}),
    "delete_deployment": (1, lambda c: {"who": c.choice(_WHO)}),
    "delete_service": (1, lambda c: {}),
    "delete_job": (1, lambda c: {}),
    "delete_release": (1, lambda c: {"seconds": c.choice([0.2, 5.0, 60.0])}),
    "edit_deployment": (1, lambda c: {"who": c.choice(_WHO)}),
    "wipe_run": (1, lambda c: {"index": c.randrange(3)}),
    "expose": (2, lambda c: {"seconds": c.choice([30.0, 120.0])}),
    "break_spec": (1, lambda c: {"seconds": c.choice([20.0, 200.0])}),
}
# The cluster's and bad luck's.
_TROUBLE: Final[Mapping[str, tuple[int, Callable[[random.Random], Mapping[str, Any]]]]] = {
    "evict": (3, lambda c: {"index": c.randrange(8)}),
    "unready": (4, lambda c: {"index": c.randrange(8), "seconds": c.choice([2.0, 20.0, 90.0])}),
    "capacity": (2, lambda c: {"pods": c.choice([2, 4, 6, 12])}),
    "job_fault": (1, lambda c: {"share": c.choice([0.0, 0.3, 1.0])}),
    "prometheus": (
        3,
        lambda c: {"mode": c.choice(["error", "hang", "nodata"]), "seconds": c.choice([20.0, 150.0])},
    ),
    "fault": (
        8,
        lambda c: {
            "verb": c.choice(["any", "get", "list", "create", "apply", "apply", "merge", "scale", "delete"]),
            "mode": c.choice(["refused", "lost", "lost", "conflict", "slow", "hang"]),
            "count": c.choice([1, 1, 2, 5, 20]),
        },
    ),
    "kill": (
        9,
        lambda c: {
            "calls": c.randint(1, 60),
            "after": c.random() < 0.5,
            "seconds": c.choice([1.0, 3.0, 60.0]),
        },
    ),
    "cut_watches": (1, lambda c: {}),
    "stall_watches": (2, lambda c: {"seconds": c.choice([20.0, 200.0])}),
    "compact": (1, lambda c: {}),
}

_OWN: Final = frozenset(_PEOPLE) | {"commit", "evict", "unready", "fault"}
"""What happens to one release alone."""


def _draw(chance: random.Random) -> tuple[str, Mapping[str, Any]]:
    return _trouble(chance) if chance.random() < 0.45 else _of(chance, _PEOPLE)


def _trouble(chance: random.Random) -> tuple[str, Mapping[str, Any]]:
    return _of(chance, _TROUBLE)


def _of(
    chance: random.Random, table: Mapping[str, tuple[int, Callable[[random.Random], Mapping[str, Any]]]]
) -> tuple[str, Mapping[str, Any]]:
    verb = chance.choices(list(table), [often for often, _ in table.values()])[0]
    return verb, dict(table[verb][1](chance))
