"""The only code that knows kopf: it says that a release changed, and nothing else.

No finalizer, no annotation, no daemon, no timer: kopf's ``on.event`` starts and wakes the loops. Runs and all
other children are followed by :mod:`modelrelease.cluster.cache`.
"""

import dataclasses
import itertools
import logging
import os
from collections.abc import Iterator
from typing import Any

import kopf

from modelrelease.api import constants
from modelrelease.controller import loop

BACKOFFS = (1, 1, 2, 3, 5, 8, 13, 20)


class _Backoffs:
    """Endless: a network error is no reason to end. Iterable anew for every request."""

    def __iter__(self) -> Iterator[float]:
        return itertools.chain(BACKOFFS, itertools.repeat(BACKOFFS[-1]))


def register(registry: kopf.OperatorRegistry, operator: loop.Operator) -> None:
    """Let releases start, wake and stop the operator's loops."""

    @kopf.on.event(constants.GROUP, constants.VERSION, constants.RELEASE_PLURAL, registry=registry)
    async def release_changed(
        event: kopf.RawEvent, uid: str, namespace: str | None, name: str, **_: Any
    ) -> None:
        if event["type"] == "DELETED":
            operator.stop(uid)
        elif namespace is not None:
            operator.start(uid, namespace, name)

    @kopf.on.login(registry=registry)
    async def login(**context: Any) -> kopf.ConnectionInfo | None:
        found = kopf.login_with_service_account(**context)
        host = os.environ.get("KUBERNETES_SERVICE_HOST")
        if found is None or not host:
            return found or kopf.login_with_kubeconfig(**context)
        # By address: the operator must start when the cluster's DNS does not.
        port = os.environ.get("KUBERNETES_SERVICE_PORT", "443")
        return dataclasses.replace(found, server=f"https://{f'[{host}]' if ':' in host else host}:{port}")


def settings() -> kopf.OperatorSettings:
    """Return kopf's settings; what each is for stands in kopf's documentation of it."""
    chosen = kopf.OperatorSettings()
    chosen.persistence.finalizer = f"{constants.GROUP}/kopf"  # never set: no handler needs one
    chosen.posting.enabled = False  # Events are ours
    chosen.posting.loggers = False
    chosen.posting.level = logging.WARNING
    chosen.peering.standalone = True
    chosen.scanning.disabled = True  # of namespaces and CRDs, which would take rights we do not have
    chosen.watching.chunk_size = 50  # a list is large in memory until every object of it was looked at
    chosen.queueing.idle_timeout = 0.5  # so long a release that was heard of keeps a task and a queue
    chosen.watching.server_timeout = 300
    chosen.watching.client_timeout = 330
    chosen.watching.connect_timeout = 10
    chosen.networking.request_timeout = 30
    chosen.networking.connect_timeout = 10
    chosen.networking.error_backoffs = _Backoffs()
    chosen.background.cancellation_polling = 2
    chosen.execution.max_workers = 1
    chosen.process.ultimate_exiting_timeout = 20
    return chosen
