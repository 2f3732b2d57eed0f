"""What a candidate is compared with: recorded outputs, and live stable where none were recorded."""

import dataclasses
import hashlib
import json
from typing import Final

from modelrelease.api import checks as api_checks
from modelrelease.api import run as api_run
from modelrelease.api import spec as api_spec
from modelrelease.core import observation, portions

Role = api_checks.ReferenceRole
_LOAD: Final = {"arrivals", "concurrency", "requests_per_second", "inputs_per_request", "mix"}
"""What two measurements of performance must have in common."""
_GENERATION: Final = f"sha256:{hashlib.sha256(b'Generation').hexdigest()}"
MEASURED: Final = frozenset({"performance", "fidelity", "internals"})
"""Kinds whose records are of their own terms, and no outputs that other checks could compare with."""


@dataclasses.dataclass(frozen=True, slots=True)
class Recorded:
    """A reference that a check compares the candidate with."""

    role: api_checks.ReferenceRole
    revision: str
    outputs: api_run.Reference
    numeric_class: api_spec.NumericClass


@dataclasses.dataclass(frozen=True, slots=True)
class LiveStable:
    """A pod of stable that a check may ask, gently, where nothing that fits was recorded."""

    revision: str
    pod: observation.Pod
    numeric_class: api_spec.NumericClass


def recorded(
    observed: observation.Observation, run: observation.Run, check: api_checks.Check, portion: int = 0
) -> tuple[Recorded, ...]:
    """Return the recorded outputs that a check compares one portion with.

    Parameters
    ----------
    observed
        The release and its revisions.
    run
        Names stable, and the revision whose vector space has the anchor.
    check
        Parity names the roles; a contract compares token ids with everybody's; retrieval compares what is
        found with what Stable finds, performance with what Stable did, fidelity with what it drew,
        internals with what happened inside; repeatability needs nobody.
    portion
        Which of the check's portions (:mod:`modelrelease.core.portions`).
    """
    asked = portions.portions(run.spec.judging, check)[portion]
    roles = (Role.STABLE,) if asked.generation else _roles(check)
    candidate = observed.revisions.get(run.spec.revision)
    space = candidate.embedding_space if candidate is not None else ""
    stable = observed.revisions.get(run.spec.stable or "")
    anchor = next((r for r in observed.revisions.values() if space and r.anchor_of == space), None)
    comparable = asked.generation or _comparable(check, stable, candidate)
    found = {Role.STABLE: stable if comparable else None, Role.ANCHOR: anchor}
    return tuple(
        Recorded(role, revision.name, outputs, _class_of(revision, run))
        for role in roles
        if (revision := found.get(role)) is not None
        and (outputs := _fitting(revision, run, check, portion)) is not None
    )


def _roles(check: api_checks.Check) -> tuple[api_checks.ReferenceRole, ...]:
    if check.embedding_parity is not None:
        return tuple(dict.fromkeys(check.embedding_parity.references))
    if _spaceless(check):
        return (Role.STABLE,)
    return (Role.STABLE, Role.ANCHOR) if check.contract is not None else ()


def live_stable(
    observed: observation.Observation, run: observation.Run, check: api_checks.Check
) -> LiveStable | None:
    """Return the pod of stable that a check may ask, or None where there is none to ask or compare with."""
    if check.kind in {"contract", "performance", "internals"} or Role.STABLE not in _roles(check):
        # Under users' load stable's pace says nothing of its own, and a replay would cost its users; what
        # happens inside no pod of stable tells.
        return None
    stable = observed.revisions.get(run.spec.stable or "")
    if stable is None or not _comparable(check, stable, observed.revisions.get(run.spec.revision)):
        return None
    ready = sorted(
        (pod for pod in stable.pods if pod.ready and pod.ip and not pod.terminating), key=lambda pod: pod.name
    )
    return LiveStable(stable.name, ready[0], _class_of(stable, run)) if ready else None


def asks_stable(
    observed: observation.Observation, run: observation.Run, check: api_checks.Check, portion: int = 0
) -> bool:
    """Return whether a check will have to ask live stable, because nothing that fits was recorded."""
    roles = {known.role for known in recorded(observed, run, check, portion)}
    return Role.STABLE not in roles and live_stable(observed, run, check) is not None


def _comparable(
    check: api_checks.Check, stable: observation.Revision | None, candidate: observation.Revision | None
) -> bool:
    """Whether stable's outputs say something of the candidate's: of rows only within one vector space."""
    return stable is not None if _spaceless(check) else _shares(stable, candidate)


def _spaceless(check: api_checks.Check) -> bool:
    """Whether no vectors are compared: what a search finds is, or what was measured."""
    return check.kind == "retrieval" or check.kind in MEASURED


def _shares(stable: observation.Revision | None, candidate: observation.Revision | None) -> bool:
    """Whether both answer in one vector space: else their rows can't be compared."""
    if stable is None or candidate is None:
        return stable is not None
    return stable.embedding_space == candidate.embedding_space


def _fitting(
    revision: observation.Revision, run: observation.Run, check: api_checks.Check, portion: int
) -> api_run.Reference | None:
    """Return a revision's outputs for this portion of this check, as far as that is known.

    The check itself refuses a reference of other items, and a contract passes over it.
    """
    asked = portions.portions(run.spec.judging, check)
    tells = asked[portion].generation
    # What answers with vectors was recorded by a check that knows nothing of what draws.
    count = len(asked) if tells else sum(not one.generation for one in asked)
    named = {golden.name: golden.digest for golden in run.spec.judging.golden_sets}
    digest = named.get(check.probe.golden_set or "")
    fitting = [
        outputs
        for outputs in revision.outputs
        if (outputs.portion, outputs.portions) == (portion, count)
        and (digest is None or tells or outputs.golden_set in {"", digest})
        # Performance under another load says nothing; it is no record of outputs, and neither are images.
        and outputs.terms == terms(run, check, portion)
    ]
    own = (outputs for outputs in fitting if outputs.check in {"", check.name})
    anybodys = (digest is not None and check.kind not in MEASURED) or check.contract is not None
    return next(own, None) or (next(iter(fitting), None) if anybodys else None)


def terms(run: observation.Run, check: api_checks.Check, portion: int = 0) -> str:
    """Return the digest of what is measured by a check that records no outputs; nothing for other kinds.

    Two measurements can be compared when they are of the same load, the same inputs and the same operations.
    """
    if check.contract is not None and portions.portions(run.spec.judging, check)[portion].generation:
        # What a process tells of itself depends on nothing that it is sent.
        return _GENERATION
    if check.kind not in MEASURED:
        return ""
    (first, *_) = asked = portions.portions(run.spec.judging, check)
    golden = first.golden_set
    load = {
        # How a model is run is what the check itself compares: it says what differs, and passes over nothing.
        "load": check.kind.capitalize()
        if check.performance is None
        else check.performance.model_dump(mode="json", by_alias=True, include=_LOAD),
        "operations": [
            operation.name for portion in asked for operation in portion.operations if check.internals is None
        ],
        "goldenSet": golden.model_dump(mode="json", by_alias=True) if golden is not None else None,
    }
    return f"sha256:{hashlib.sha256(json.dumps(load, sort_keys=True).encode()).hexdigest()}"


def _class_of(revision: observation.Revision, run: observation.Run) -> api_spec.NumericClass:
    return revision.numeric_class or run.spec.judging.model.numeric_class
