"""Measures one fault after the other inside a model, and holds what is named to the key. Needs torch."""

import contextlib
import dataclasses
import json
import pathlib
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from canary_checks import failure, schema
from canary_checks import vocabulary as v
from canary_checks.internals import comparison, judging, loading, otherwise, trace
from canary_checks.internals import pipelines as watched
from canary_checks.internals.causes import contrast, diagnosis
from canary_checks.parity.causes import naming
from hack.faults.generators import edits, faults, pipelines

UNKNOWN = naming.UNKNOWN
_SEED = 0


@dataclasses.dataclass(frozen=True)
class Found:
    """What the check said about one case.

    Attributes
    ----------
    case
        Which.
    verdict
        Of all gates together.
    gates
        Those that did not pass, as ``(metric, observed, limit)``.
    blame
        None where nothing failed.
    prompts
        How many were run.
    seconds
        Of this process's work.
    """

    case: faults.Case
    verdict: v.Verdict
    gates: tuple[tuple[str, float, float], ...]
    blame: diagnosis.Blame | None
    prompts: int
    seconds: float

    @property
    def cause(self) -> str:
        """What was named; empty where nothing failed."""
        return self.blame.report.cause if self.blame else ""

    @property
    def caught(self) -> bool:
        """Some gate failed."""
        return self.verdict is v.Verdict.FAIL

    @property
    def accepted(self) -> bool:
        """The cause is one of the key's."""
        return self.caught and self.cause in self.case.accepted

    @property
    def wrong(self) -> bool:
        """A cause was named, and not one of the key's."""
        return self.caught and self.cause not in self.case.accepted | {UNKNOWN}


class Bench:
    """Measures cases; references are recorded once.

    Parameters
    ----------
    below
        A folder for models, which is written to.
    prompts
        What is drawn.
    """

    def __init__(self, below: pathlib.Path, prompts: Sequence[str] = pipelines.PROMPTS[:2]) -> None:
        self._below = below
        self._prompts = tuple(prompts)
        self._recorded: dict[tuple[str, str], trace.Trace] = {}

    def measure(self, case: faults.Case) -> Found:
        """Break the model as a case says, run it, judge it, and ask for the cause."""
        started = time.process_time()
        reference = self._reference(case)
        with self._candidate(case) as folder:
            computed = case.computed or case.numeric_class
            try:
                pipeline = _loaded(folder, case.loaded, computed)
                seen = self._run(pipeline, case, reference)
            except failure.CheckError as error:
                raise RuntimeError(f"{case.name}: {error}") from error
            gates = _judged(seen, reference, case)
            verdict = _verdict(gates)
            blame = None
            if verdict is v.Verdict.FAIL:
                # One prompt tells whether it is the same twice.
                again = self._run(pipeline, case, reference, prompts=1)
                blame = self._blamed(case, pipeline, folder, seen=seen, again=again, reference=reference)
        return Found(
            case=case,
            verdict=verdict,
            gates=tuple(
                (str(gate.metric), float(gate.observed), float(gate.limit))
                for gate in gates
                if gate.verdict is not v.Verdict.PASS
            ),
            blame=blame,
            prompts=len(self._prompts),
            seconds=time.process_time() - started,
        )

    def _blamed(
        self,
        case: faults.Case,
        pipeline: watched.Pipeline,
        folder: pathlib.Path,
        *,
        seen: trace.Trace,
        again: trace.Trace,
        reference: trace.Trace,
    ) -> diagnosis.Blame:
        band = judging.stage_band(case.numeric_class)
        same = seen.dtype == reference.dtype
        contrasted = contrast.Contrast(
            reference=reference,
            candidate=seen,
            limits=contrast.Limits(
                stage=band.passes,
                entropy=judging.BANDS[judging.Metric.ENTROPY_SHIFT_MAX].passes,
                psnr=(judging.PSNR_SAME if same else judging.PSNR_OTHER).passes,
            ),
            again=again,
            stated=case.stated,
        )
        measure = otherwise.Otherwise(
            pipeline=pipeline,
            reference=reference,
            steps=case.steps,
            guidance=case.guidance,
            scheduler=self._scheduler(case),
            precise=lambda: _loaded(folder, case.loaded, v.NumericClass.FP32),
            adapt=_adapting(case),
        )
        return diagnosis.diagnose(
            contrasted, measure, lambda made: _verdict(_judged(made, reference, case)) is v.Verdict.PASS
        )

    def _base(self, model: str) -> pathlib.Path:
        folder = self._below / model
        if not folder.is_dir():
            pipelines.MAKERS[model](folder)
        return folder

    def _scheduler(self, case: faults.Case) -> dict[str, Any]:
        path = self._base(case.model) / "scheduler/scheduler_config.json"
        said: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return {name: value for name, value in said.items() if not name.startswith("_")}

    @contextlib.contextmanager
    def _copied(self, model: str, edit: edits.Edit) -> Iterator[pathlib.Path]:
        with tempfile.TemporaryDirectory(dir=self._below, prefix=".case-") as below:
            folder = pathlib.Path(below) / "model"
            shutil.copytree(self._base(model), folder)
            edit(folder)
            yield folder

    @contextlib.contextmanager
    def _candidate(self, case: faults.Case) -> Iterator[pathlib.Path]:
        with self._copied(case.model, case.folder) as folder:
            yield folder

    def _reference(self, case: faults.Case) -> trace.Trace:
        key = case.model, case.reference
        if key not in self._recorded:
            before = faults.REFERENCES[case.reference]
            with self._copied(case.model, before.folder) as folder:
                pipeline = _loaded(folder, before.loaded, v.NumericClass.FP32)
                self._recorded[key] = pipeline.run(
                    self._prompts, seed=_SEED, steps=pipelines.STEPS, guidance=pipelines.GUIDANCE
                )
        return self._recorded[key]

    def _run(
        self,
        pipeline: watched.Pipeline,
        case: faults.Case,
        reference: trace.Trace,
        *,
        prompts: int | None = None,
    ) -> trace.Trace:
        return pipeline.run(
            self._prompts[:prompts],
            seed=_SEED,
            steps=case.steps,
            guidance=case.guidance,
            known=None if reference.decoded is None else reference.decoded.latents,
        )


def _loaded(folder: pathlib.Path, patch: edits.Patch, numeric_class: v.NumericClass) -> watched.Pipeline:
    made = watched.Pipeline(folder, loading.machine(numeric_class, threading.Event()))
    patch(made.pipe)
    return made


def _judged(seen: trace.Trace, reference: trace.Trace, case: faults.Case) -> list[schema.Gate]:
    limits = judging.Limits()
    found = comparison.compare(seen, reference)
    return judging.absolute(seen, limits) + judging.against(
        found,
        limits,
        numeric_class=case.numeric_class,
        same_numbers=seen.dtype == reference.dtype,
        role="Stable",
    )


def _verdict(gates: Sequence[schema.Gate]) -> v.Verdict:
    verdicts = {gate.verdict for gate in gates}
    for one in (v.Verdict.FAIL, v.Verdict.INCONCLUSIVE, v.Verdict.NO_DATA):
        if one in verdicts:
            return one
    return v.Verdict.PASS


def _adapting(case: faults.Case) -> Any:
    """Return what puts the adapter of a case at another scale; None of a model without one."""
    if case.stated == (contrast.Stated(), contrast.Stated()):
        return None
    now = next(iter(case.stated[1].adapters.values()), 0.0)

    @contextlib.contextmanager
    def adapt(pipeline: watched.Pipeline, scale: float) -> Iterator[None]:
        unet = pipeline.pipe.unet
        # What the adapter adds depends on the shapes alone.
        deltas = edits.adapter(unet.state_dict())
        parameters = dict(unet.named_parameters())

        def move(by: float) -> None:
            with torch.no_grad():
                for name, delta in deltas.items():
                    parameters[name].add_(by * delta)

        move(scale - now)
        try:
            yield
        finally:
            move(now - scale)

    return adapt
