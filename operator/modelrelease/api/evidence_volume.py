"""A volume for the whole evidence of checks: what the run's ConfigMaps have no room for."""

from typing import Annotated

import pydantic

from modelrelease.api import base


class EvidenceClaim(base.ApiModel):
    """A PersistentVolumeClaim in the release's namespace, as in a pod, mounted writable."""

    claim_name: base.DnsSubdomain


class EvidenceVolume(base.ApiModel):
    """Where checks leave everything that they measured, beside what the operator keeps itself."""

    persistent_volume_claim: EvidenceClaim
    keep_runs: Annotated[int, pydantic.Field(ge=1, le=1000)] = 10
    """Of how many runs of this release; what checks left of older ones, they delete."""
    fs_group: Annotated[int, pydantic.Field(ge=1, le=2_147_483_647)] | None = None
    """Group that the kubelet gives the volume to, where its folder is not writable for the checks' user."""
