"""The parts of a pod that the rules look at; the rest is passed on as written, and Kubernetes' to judge."""

from typing import Annotated

import pydantic

from modelrelease.api import base


class Toleration(base.ApiModel):
    """A taint that the pod tolerates, as in a pod."""

    key: Annotated[str, pydantic.Field(max_length=317)] | None = None
    operator: Annotated[str, pydantic.Field(max_length=16)] | None = None
    value: base.LabelValue | None = None
    effect: Annotated[str, pydantic.Field(max_length=32)] | None = None
    toleration_seconds: Annotated[int, pydantic.Field(ge=0, le=2_147_483_647)] | None = None


class Resources(base.ApiModel):
    """What a container asks for and may use, as in a pod."""

    limits: Annotated[dict[str, base.Quantity], pydantic.Field(max_length=16)] | None = None
    requests: Annotated[dict[str, base.Quantity], pydantic.Field(max_length=16)] | None = None


class TemplateMetadata(pydantic.BaseModel):
    """Labels and annotations of the pods."""

    model_config = pydantic.ConfigDict(extra="allow")

    labels: Annotated[dict[str, base.LabelValue], pydantic.Field(max_length=64)] | None = None
    annotations: Annotated[dict[str, base.AnnotationValue], pydantic.Field(max_length=64)] | None = None


class TemplatePort(pydantic.BaseModel):
    """A port of a container."""

    model_config = pydantic.ConfigDict(extra="allow")

    name: Annotated[str, pydantic.Field(max_length=15)] | None = None


class TemplateContainer(pydantic.BaseModel):
    """A container."""

    model_config = pydantic.ConfigDict(extra="allow")

    ports: Annotated[list[TemplatePort], pydantic.Field(max_length=32)] | None = None


class TemplatePod(pydantic.BaseModel):
    """A PodSpec."""

    model_config = pydantic.ConfigDict(extra="allow")

    containers: Annotated[list[TemplateContainer], pydantic.Field(min_length=1, max_length=32)]
    init_containers: Annotated[list[TemplateContainer], pydantic.Field(max_length=32)] | None = (
        pydantic.Field(default=None, alias="initContainers")
    )


class Template(pydantic.BaseModel):
    """What the rules look at in a PodTemplateSpec; the rest is Kubernetes' to judge."""

    model_config = pydantic.ConfigDict(extra="allow")

    metadata: TemplateMetadata | None = None
    spec: TemplatePod
