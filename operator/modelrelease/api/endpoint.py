"""How the model is asked: the runtime that names the metrics, and the operations with their protocols."""

import enum
import functools
import json
from collections.abc import Iterator
from typing import Annotated, Any, Final
from urllib import parse

import pydantic
import pydantic_core

from modelrelease.api import base, probe_endpoint


class Runtime(enum.StrEnum):
    """The server's software: names the metrics, never the way it is asked."""

    GENERIC = "Generic"
    INFINITY = "Infinity"
    VLLM = "VLLM"
    TEXT_GENERATION_INFERENCE = "TextGenerationInference"
    TEXT_EMBEDDINGS_INFERENCE = "TextEmbeddingsInference"
    TRITON = "Triton"
    KSERVE = "KServe"
    MLSERVER = "MLServer"
    ENVOY = "Envoy"
    ISTIO = "Istio"
    TRAEFIK = "Traefik"
    NGINX = "NGINX"


class Protocol(enum.StrEnum):
    """How the model is asked."""

    OPENAI_EMBEDDINGS = "OpenAIEmbeddings"
    TEXT_EMBEDDINGS_INFERENCE = "TextEmbeddingsInference"
    OPEN_INFERENCE_V2 = "OpenInferenceV2"
    GENERIC_JSON = "GenericJSON"
    OPENAI_IMAGES = "OpenAIImages"
    OPEN_INFERENCE_V2_IMAGES = "OpenInferenceV2Images"


class Modality(enum.StrEnum):
    """What an operation reads."""

    TEXT = "Text"
    IMAGE = "Image"


class Encoding(enum.StrEnum):
    """How the OpenAI protocol writes a vector."""

    FLOAT = "Float"
    BASE64 = "Base64"


class Datatype(enum.StrEnum):
    """The floating-point types that an output tensor of the Open Inference Protocol may have."""

    FP16 = "FP16"
    BF16 = "BF16"
    FP32 = "FP32"
    FP64 = "FP64"


class ImageForm(enum.StrEnum):
    """How a GenericJSON body carries an image."""

    BASE64 = "Base64"
    DATA_URI = "DataURI"


# --- Free JSON ----------------------------------------------------------------------------------------------

_JSON_BYTES_MAX: Final = 8192
_INPUTS: Final = ("$inputs", "$input")
OWN_FIELDS: Final = {
    Protocol.OPENAI_EMBEDDINGS: ("encoding", "dimensions", "extraBody"),
    Protocol.TEXT_EMBEDDINGS_INFERENCE: ("dimensions", "truncate", "normalize", "promptName"),
    Protocol.OPEN_INFERENCE_V2: ("input", "output", "datatype", "binary"),
    Protocol.GENERIC_JSON: ("body", "vectors", "images", "imageForm", "after"),
    Protocol.OPENAI_IMAGES: ("extraBody", "after", "imageHosts"),
    Protocol.OPEN_INFERENCE_V2_IMAGES: ("input", "output", "binary", "after"),
}
"""The fields of an operation that only some protocols have."""


def _bounded(value: dict[str, Any]) -> dict[str, Any]:
    if len(json.dumps(value, ensure_ascii=False).encode()) > _JSON_BYTES_MAX:
        raise pydantic_core.PydanticCustomError(
            "json_size", "must have at most {bytes} bytes as JSON: shorten it", {"bytes": _JSON_BYTES_MAX}
        )
    return value


def _asking(value: dict[str, Any]) -> dict[str, Any]:
    if sum(text in _INPUTS for text in _strings(value)) != 1:
        raise pydantic_core.PydanticCustomError(
            "json_input", 'must hold "$inputs" (the list) or "$input" (one of them) once, as a value'
        )
    return value


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _strings(inner)


Json = Annotated[dict[str, Any], pydantic.AfterValidator(_bounded)]
JsonPath = Annotated[str, pydantic.Field(min_length=1, max_length=253, pattern=base.JSON_PATH)]
Printable = Annotated[str, pydantic.Field(min_length=1, max_length=253, pattern=base.PRINTABLE)]

# --- Operations ---------------------------------------------------------------------------------------------

IMPLIED_OPERATION: Final = "embeddings"
"""Name of the operation that ``endpoint.protocol`` implies."""


class Via(base.ApiModel):
    """Where an operation is asked instead of at the port ``model`` of the pod that is checked."""

    service_name: base.DnsLabel | None = None
    """A Service of this namespace, the same one for every revision; by default the pod itself."""
    port: Annotated[int, pydantic.Field(ge=1, le=65_535)]
    """Its number, at the Service or at the pod."""


class Operation(base.ApiModel):
    """One way of asking the model; what is not set is not sent."""

    name: base.DnsLabel
    protocol: Protocol
    modality: Modality = Modality.TEXT
    path: Annotated[str, pydantic.Field(min_length=1, max_length=253, pattern=base.PATH)] | None = None
    """By default the protocol's own, such as /v1/embeddings."""
    model: Printable | None = None
    """The ``model`` of its requests; by default ``model.servedName``."""
    encoding: Encoding | None = None
    """OpenAIEmbeddings; by default Float."""
    dimensions: Annotated[int, pydantic.Field(ge=1, le=65_536)] | None = None
    """OpenAIEmbeddings and TextEmbeddingsInference: to how many numbers the server shall shorten vectors."""
    extra_body: Json | None = None
    """OpenAIEmbeddings and OpenAIImages: further keys of the request."""
    truncate: bool | None = None
    """TextEmbeddingsInference: whether texts that are too long are cut rather than refused."""
    normalize: bool | None = None
    """TextEmbeddingsInference: whether vectors are scaled to length 1."""
    prompt_name: Printable | None = None
    """TextEmbeddingsInference: which of the model's prompts goes before each text."""
    input: Printable | None = None
    """OpenInferenceV2: the input tensor, of a generator the prompt's; by default the only one that fits."""
    output: Printable | None = None
    """OpenInferenceV2: the output tensor; by default the only one that comes back."""
    datatype: Datatype | None = None
    """OpenInferenceV2: what the output must be; by default any of them."""
    binary: bool | None = None
    """OpenInferenceV2: tensors as bytes behind the JSON; by default not."""
    body: Annotated[Json, pydantic.AfterValidator(_asking)] | None = None
    """GenericJSON: the request, with $inputs (the list) or $input (one of them) once, as a value."""
    vectors: JsonPath | None = None
    """GenericJSON: JSONPath of the vectors in the response, one match for each input."""
    image_form: ImageForm | None = None
    """GenericJSON; by default Base64."""
    images: JsonPath | None = None
    """GenericJSON of a generator, in place of vectors: JSONPath of the image in the response, in base64."""
    after: base.DnsLabel | None = None
    """Of what draws: the operation before it whose image it goes on with, such as a draft."""
    image_hosts: (
        Annotated[
            list[Annotated[str, pydantic.Field(min_length=1, max_length=259, pattern=base.AUTHORITY)]],
            base.ListSet(),
            pydantic.Field(min_length=1, max_length=8),
        ]
        | None
    ) = None
    """OpenAIImages: from where, besides the server, an image may be fetched that is answered by URL."""
    via: Via | None = None
    """Of an operation that draws: another port of the pod, or a Service, when a chain has several servers."""

    @property
    def draws(self) -> bool:
        """Whether it answers a prompt with an image."""
        return self.protocol.endswith("Images") or self.images is not None

    def usual_path(self, served_name: str | None = None) -> str:
        """Return the path that the protocol has by itself; empty where it has none."""
        if self.protocol.startswith(Protocol.OPEN_INFERENCE_V2):
            return f"/v2/models/{parse.quote(self.model or served_name or '', safe='')}/infer"
        images = "/v1/images/generations" if self.after is None else "/v1/images/edits"
        return {
            Protocol.OPENAI_IMAGES: images,
            Protocol.OPENAI_EMBEDDINGS: "/v1/embeddings",
            Protocol.TEXT_EMBEDDINGS_INFERENCE: "/embed",
        }.get(self.protocol, "")


@functools.cache
def _implied(protocol: Protocol) -> Operation:
    """Return the operation of an endpoint that declares none: asked for several times in every turn."""
    return Operation(name=IMPLIED_OPERATION, protocol=protocol)


class Endpoint(base.ApiModel):
    """How the model is asked: ``protocol`` for one operation, or ``operations``."""

    runtime: Runtime = Runtime.GENERIC
    protocol: Protocol | None = None
    operations: (
        Annotated[list[Operation], base.ListMap(("name",)), pydantic.Field(min_length=1, max_length=8)] | None
    ) = None
    probe: probe_endpoint.ProbeEndpoint | None = None

    def all_operations(self) -> tuple[Operation, ...]:
        """Return the declared operations, or the single one that ``protocol`` implies."""
        if self.operations is not None:
            return tuple(self.operations)
        return (_implied(self.protocol or Protocol.OPENAI_EMBEDDINGS),)

    def normalised(self) -> "Endpoint":
        """Return it without paths that repeat what the protocol says.

        Earlier API servers wrote that default into every object.
        """
        if self.operations is None:
            return self
        plain = [
            operation.model_copy(update={"path": None})
            if operation.path == operation.usual_path()
            else operation
            for operation in self.operations
        ]
        return self.model_copy(update={"operations": plain})
