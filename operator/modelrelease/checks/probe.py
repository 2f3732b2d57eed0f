"""What a check is told of the probe endpoint, and of what it must tell."""

from typing import Any

from modelrelease.api import checks as api_checks
from modelrelease.api import probe_endpoint
from modelrelease.api import run as api_run
from modelrelease.core import observation

Object = dict[str, Any]


def asked_by(check: api_checks.Check) -> bool:
    """Return whether a check asks the endpoint: the contract's, and parity, which records what it tells."""
    return check.contract is not None or check.embedding_parity is not None


def endpoint(judging: api_run.Judging, check: api_checks.Check, pod: observation.Pod, host: str) -> Object:
    """Return the part of a request that says where the endpoint is; empty where there is none to ask.

    Parameters
    ----------
    judging
        Declares it.
    check
        Which asks.
    pod
        That is probed.
    host
        Its address, as in a URL.
    """
    declared = judging.endpoint.probe
    if declared is None or not asked_by(check):
        return {}
    port = dict(pod.ports).get(declared.port, 0)
    prefix = (declared.path_prefix or "").rstrip("/")
    return {
        "probe": {
            "url": f"http://{host}:{port}{prefix}",
            "tokenVariable": probe_endpoint.TOKEN_VARIABLE,
        }
    }


def contract(judging: api_run.Judging) -> Object:
    """Return ``model.contract`` in the words of a request; files are the init container's to prove."""
    stated = judging.model.contract
    said: Object = stated.model_dump(
        mode="json", by_alias=True, exclude_none=True, exclude={"files", "preprocess", "generation"}
    )
    pinned = {
        name: one.pins()
        for name, one in (("preprocess", stated.preprocess), ("generation", stated.generation))
        if one is not None
    }
    return said | pinned


def variables(judging: api_run.Judging, check: api_checks.Check) -> list[Object]:
    """Return the variable that holds the token.

    It is optional, so that a missing Secret is the check's to say, in one sentence and at once, and not a
    container that never starts.
    """
    declared = judging.endpoint.probe
    if declared is None or not asked_by(check):
        return []
    secret = {"name": declared.token_secret.name, "key": declared.token_secret.key, "optional": True}
    return [{"name": probe_endpoint.TOKEN_VARIABLE, "valueFrom": {"secretKeyRef": secret}}]
