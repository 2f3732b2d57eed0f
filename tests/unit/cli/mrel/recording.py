"""Record the objects of screens: ``python -m tests.unit.cli.mrel.recording``.

They are what the real operator wrote in short lives of the simulation, kept as files, so that a change
of a message elsewhere changes no screen here.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

from tests.simulation import people, plots, script, virtual, world

HERE = Path(__file__).parent / "objects"
KINDS = ("ModelRelease", "ModelReleaseRun", "ControllerRevision", "Pod", "ConfigMap")

SLOW = {"steps": [[33, 60], [50, 60]], "bake": 120, "replicas": 4, "approval": "BeforeFull"}
LIVES: dict[str, tuple[script.Life, dict[str, float]]] = {
    "good": (
        plots.life(
            (60.0, "commit", {"behaviour": "good", "number": 1}),
            (300.0, "approve", {"stage": "BeforeFull"}),
            seconds=700,
            **SLOW,
        ),
        {
            "first": 5.0,
            "stable": 55.0,
            "starting": 65.0,
            "checking": 78.0,
            "holding": 130.0,
            "approval": 290.0,
            "baking": 380.0,
            "promoted": 650.0,
        },
    ),
    "bad": (
        plots.life((60.0, "commit", {"behaviour": "casing", "number": 1}), seconds=300),
        {"rolled-back": 200.0},
    ),
    "hungry": (
        plots.life((60.0, "commit", {"behaviour": "hungry", "number": 1}), (150.0, "pause", {}), seconds=300),
        {"waiting": 140.0, "paused": 170.0},
    ),
    "rejected": (
        plots.life(
            (60.0, "commit", {"behaviour": "good", "number": 1}),
            (300.0, "commit", {"behaviour": "good", "number": 2}),
            (500.0, "reject", {"who": "stable"}),
            seconds=700,
        ),
        {"two-promoted": 490.0, "reloading": 503.0, "rejected": 650.0},
    ),
}


def live(life: script.Life, moments: dict[str, float]) -> dict[str, dict[str, Any]]:
    """Return what is on the server at some moments of a life."""

    async def main() -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        lived_in = world.World(life)

        async def look() -> None:
            for name, moment in sorted(moments.items(), key=lambda item: item[1]):
                await asyncio.sleep(max(0.0, moment - lived_in.server.seconds()))
                objects = [obj for kind in KINDS for obj in lived_in.server.select(kind, people.NAMESPACE)]
                objects = json.loads(json.dumps(objects))
                for obj in objects:
                    obj.setdefault("kind", "")
                found[name] = {"now": lived_in.server.now().isoformat(), "objects": objects}

        looking = asyncio.create_task(look())
        lived = await lived_in.live()
        assert not lived.problem, lived.problem
        await looking
        return found

    return virtual.run(main())


def main() -> None:
    """Write the files."""
    HERE.mkdir(exist_ok=True)
    for life, moments in LIVES.values():
        for name, snapshot in live(life, moments).items():
            text = json.dumps(snapshot, indent=1, ensure_ascii=False)
            (HERE / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
