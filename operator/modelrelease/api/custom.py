"""A team's own check: any image as a Job, or a service of the team's that a Job of ours asks."""

from typing import Annotated, Any, Final

import pydantic

from modelrelease.api import base, golden_set, pods

RESERVED_VARIABLES: Final = "MODELRELEASE_"
"""Variables that start so are ours: they say what is asked."""
OWN_FOLDERS: Final = ("/tmp", "/golden")  # noqa: S108 - the container's own
"""Where the operator mounts something itself."""

Word = Annotated[str, pydantic.Field(max_length=4096)]
Key = Annotated[str, pydantic.Field(min_length=1, max_length=253, pattern=base.DATA_KEY)]


class KeyRef(base.ApiModel):
    """One key of a Secret or a ConfigMap of the release's namespace."""

    name: base.DnsSubdomain
    key: Key


class ValueSource(base.ApiModel):
    """Where a variable's value comes from, as in a pod: exactly one source."""

    secret_key_ref: KeyRef | None = None
    config_map_key_ref: KeyRef | None = None


class Variable(base.ApiModel):
    """An environment variable, as in a pod: exactly one of ``value`` and ``valueFrom``."""

    name: Annotated[str, pydantic.Field(min_length=1, max_length=128, pattern=base.VARIABLE)]
    value: Annotated[str, pydantic.Field(max_length=8192)] | None = None
    """May refer to what is asked, as $(MODELRELEASE_URL)."""
    value_from: ValueSource | None = None


class Mount(base.ApiModel):
    """A volume that the container sees, read-only."""

    path: Annotated[str, pydantic.Field(min_length=2, max_length=253, pattern=base.FOLDER)]
    volume: golden_set.Volume


class Job(base.ApiModel):
    """A container of the team's own. It has no token, no root and a read-only file system except for /tmp."""

    image: Annotated[str, pydantic.Field(min_length=1, max_length=512, pattern=base.PRINTABLE)]
    command: Annotated[list[Word], pydantic.Field(min_length=1, max_length=64)] | None = None
    """By default the image's own."""
    args: Annotated[list[Word], pydantic.Field(max_length=64)] = []
    env: Annotated[list[Variable], base.ListMap(("name",)), pydantic.Field(max_length=32)] = []
    resources: Annotated[dict[str, Any], base.ShapedBy(pods.Resources)] = {}
    """By default those of ``checkTemplate``."""
    mounts: Annotated[list[Mount], base.ListMap(("path",)), pydantic.Field(max_length=8)] = []
    golden_set: base.DnsLabel | None = None
    """Which of ``goldenSets`` is mounted at /golden."""
    run_as_user: Annotated[int, pydantic.Field(ge=1, le=2_147_483_647)] | None = None
    """By default the image's own user, which must not be root."""


class Webhook(base.ApiModel):
    """A service of the team's. A Job in the release's namespace signs the question, sends it and waits."""

    url: Annotated[str, pydantic.Field(min_length=8, max_length=500, pattern=base.HTTP_URL)]
    signing_key_ref: KeyRef
    """Of a Secret: the key of the request's HMAC-SHA256."""
    authorization_ref: KeyRef | None = None
    """Of a Secret: the value of the request's header Authorization."""
    ca_bundle_ref: KeyRef | None = None
    """Of a ConfigMap: certificates in PEM that are trusted besides the usual ones."""
    timeout_seconds: Annotated[int, pydantic.Field(ge=1, le=600)] = 30
    """Of one request; how long the answer may take in all is the check's ``deadlineSeconds``."""
    poll_seconds: Annotated[int, pydantic.Field(ge=1, le=600)] = 5
    """Between two looks at the status of an answer that is promised, where it does not say Retry-After."""
    parameters: Annotated[
        dict[str, Annotated[str, pydantic.Field(max_length=1024)]], pydantic.Field(max_length=16)
    ] = {}
    """What else the service shall know; it stands in the question as written."""


class Custom(base.ApiModel):
    """The team's own check: exactly one of ``job`` and ``webhook``."""

    operations: (
        Annotated[list[base.DnsLabel], base.ListSet(), pydantic.Field(min_length=1, max_length=8)] | None
    ) = None
    """Which of ``endpoint.operations`` the question names; by default all."""
    job: Job | None = None
    webhook: Webhook | None = None
