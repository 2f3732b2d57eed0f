"""Golden sets: what checks send, delivered as a volume, so that the kubelet fetches it and nobody else."""

from typing import Annotated

import pydantic

from modelrelease.api import base


class ConfigMapVolume(base.ApiModel):
    """A ConfigMap, as in a pod: for small sets from Git. Its contents belong to what a run is judged by."""

    name: base.DnsSubdomain


class SecretVolume(base.ApiModel):
    """A Secret, as in a pod: for sets that hold samples of real users."""

    secret_name: base.DnsSubdomain


class ClaimVolume(base.ApiModel):
    """A PersistentVolumeClaim, as in a pod, mounted read-only: for large sets without a registry."""

    claim_name: base.DnsSubdomain


class ImageVolume(base.ApiModel):
    """An image from scratch that holds the set, as in a pod, named by its digest."""

    reference: Annotated[str, pydantic.Field(min_length=1, max_length=512)]


class Volume(base.ApiModel):
    """Where the set comes from: exactly one source."""

    config_map: ConfigMapVolume | None = None
    secret: SecretVolume | None = None
    persistent_volume_claim: ClaimVolume | None = None
    image: ImageVolume | None = None


class GoldenSet(base.ApiModel):
    """A team's own golden set."""

    name: base.DnsLabel
    volume: Volume
    digest: base.Digest | None = None
    """That the set must have, else checks say Error; `modelrelease golden lint` prints it."""
