"""Runs what a request names, and knows no torch until then: the plain checks image has none."""

import importlib.util
import pathlib
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import pydantic

from canary_checks import failure
from canary_checks import vocabulary as v
from canary_checks.internals import asked, folder, trace

if TYPE_CHECKING:
    from canary_checks.internals import loading


class Runner(Protocol):
    """A loaded model, of whichever library."""

    library: asked.Library

    @property
    def scheduler_config(self) -> Mapping[str, pydantic.JsonValue]:
        """How its scheduler is configured; empty where there is none."""

    def run(
        self,
        prompts: Sequence[str],
        *,
        seed: int,
        scheduler: str | None = None,
        steps: int | None = None,
        guidance: float | None = None,
        known: trace.Floats | None = None,
    ) -> trace.Trace:
        """Run the prompts and say what was seen; see `pipelines.Pipeline.run`."""


def load(wanted: asked.Internals, numeric_class: v.NumericClass, stop: threading.Event) -> Runner:
    """Load the model of a request.

    Parameters
    ----------
    wanted
        Which.
    numeric_class
        In what numbers it is run.
    stop
        Set to end it.

    Raises
    ------
    CheckError
        ``TorchMissing``, or what the folder and the model have against it.
    """
    path = pathlib.Path(wanted.folder)
    library = folder.library(path, wanted.library)
    needed = ("torch", "transformers", *(("diffusers",) if library is asked.Library.DIFFUSERS else ()))
    absent = [name for name in needed if importlib.util.find_spec(name) is None]
    if absent:
        raise failure.CheckError(
            "TorchMissing",
            f"this check runs the model itself and needs {', '.join(absent)}, which is not installed here:"
            " run it with the checks-torch image",
        )
    from canary_checks.internals import loading  # noqa: PLC0415 - needs torch

    machine = loading.machine(numeric_class, stop)
    return _loaded(path, library, machine, wanted)


def _loaded(
    path: pathlib.Path, library: asked.Library, machine: "loading.Machine", wanted: asked.Internals
) -> Runner:
    if library is asked.Library.DIFFUSERS:
        from canary_checks.internals import pipelines  # noqa: PLC0415

        return pipelines.Pipeline(path, machine)
    if wanted.scheduler or wanted.steps or wanted.guidance or wanted.sweep:
        raise failure.CheckError(
            "InvalidRequest", "scheduler, steps, guidance and sweep are for pipelines of diffusers"
        )
    from canary_checks.internals import models  # noqa: PLC0415

    return models.Model(path, machine)
