"""How to ask a model server: one operation of its endpoint, with what its protocol needs to know.

What a manifest does not say is not sent, so that a probe asks what the server's users ask; each protocol
refuses the fields of another one, because a setting that does nothing is a mistake.
"""

import enum
import json
import re
from collections.abc import Iterator
from typing import Annotated, Any, Final, Self
from urllib import parse

import pydantic

from canary_checks import vocabulary as v

LIST_OF_INPUTS: Final = "$inputs"
"""In a `GenericJSON` body: replaced by the list of all inputs."""
ONE_INPUT: Final = "$input"
"""In a `GenericJSON` body: replaced by one input; a request then carries one, unless it stands in `EACH`."""
IMAGE: Final = "$image"
"""In a `GenericJSON` body of a generator: replaced by the image to go on with; ``$mask``, ``$seed``,
``$width``, ``$height``, ``$steps`` and ``$guidance`` by what the prompt states, and left out where it states
none."""
EACH: Final = "$each"
"""In a `GenericJSON` body, ``{"$each": …}`` becomes a list: what it holds, once for every input."""

_BODY_BYTES: Final = 8192
_BODY_DEPTH: Final = 16


class Encoding(enum.StrEnum):
    """How the OpenAI protocol writes a vector: JSON numbers, or base64 of little-endian float32."""

    FLOAT = "Float"
    BASE64 = "Base64"


class Datatype(enum.StrEnum):
    """The floating-point types that an output tensor of the Open Inference Protocol may have."""

    FP16 = "FP16"
    BF16 = "BF16"
    FP32 = "FP32"
    FP64 = "FP64"


class ImageForm(enum.StrEnum):
    """How a `GenericJSON` body carries an image: plain base64, or a ``data:`` URI with its media type."""

    BASE64 = "Base64"
    DATA_URI = "DataURI"


_OWN_FIELDS: Final = {
    v.Protocol.OPENAI_EMBEDDINGS: frozenset({"encoding", "dimensions", "extra_body"}),
    v.Protocol.TEXT_EMBEDDINGS_INFERENCE: frozenset({"dimensions", "truncate", "normalize", "prompt_name"}),
    v.Protocol.OPEN_INFERENCE_V2: frozenset({"input", "output", "datatype", "binary"}),
    v.Protocol.GENERIC_JSON: frozenset({"body", "vectors", "images", "image_form", "after"}),
    v.Protocol.OPENAI_IMAGES: frozenset({"extra_body", "after", "image_hosts"}),
    v.Protocol.OPEN_INFERENCE_V2_IMAGES: frozenset({"input", "output", "binary", "after"}),
}
_DRAWING: Final = frozenset({v.Protocol.OPENAI_IMAGES, v.Protocol.OPEN_INFERENCE_V2_IMAGES})
_IN_PATH: Final = frozenset({v.Protocol.OPEN_INFERENCE_V2, v.Protocol.OPEN_INFERENCE_V2_IMAGES})
_OPENAI_KEYS: Final = frozenset({"model", "input", "encoding_format", "dimensions", "modality"})
_IMAGES_KEYS: Final = frozenset({"model", "prompt", "n", "size", "image", "mask", "response_format"})

Printable = Annotated[str, pydantic.StringConstraints(pattern=r"^[ -~]{1,253}$")]
Authority = Annotated[str, pydantic.StringConstraints(pattern=r"^[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?$")]
JSONPath = Annotated[
    str,
    # Names, indices, slices and wildcards of RFC 9535: no filter, whose cost an answer could choose.
    pydantic.StringConstraints(
        max_length=253,
        pattern=r"^\$(\.\.?([A-Za-z_][A-Za-z0-9_]*|\*)"
        r"|(\.\.)?\[(\*|-?[0-9]{1,6}|(-?[0-9]{1,6})?:(-?[0-9]{1,6})?|'[^'\\\x00-\x1f]{1,64}')\])+$",
    ),
]


class Operation(v.Model):
    """One way of asking a model."""

    name: v.Name
    protocol: v.Protocol
    modality: v.Modality = v.Modality.TEXT
    path: Annotated[str, pydantic.StringConstraints(pattern=r"^/[!-~]{0,255}$")] | None = None
    """None for the protocol's own."""
    model: Printable | None = None
    """The served model's name; None for the first one that the server lists, where it lists any."""

    encoding: Encoding | None = None
    """OpenAIEmbeddings; None for `Float`."""
    dimensions: Annotated[int, pydantic.Field(ge=1, le=65_536)] | None = None
    """OpenAIEmbeddings and TextEmbeddingsInference: to how many numbers the server shall shorten vectors."""
    extra_body: dict[str, pydantic.JsonValue] | None = None
    """OpenAIEmbeddings and OpenAIImages: further keys, such as ``{"truncate_prompt_tokens": -1}``."""

    truncate: bool | None = None
    """TextEmbeddingsInference: whether texts that are too long are cut rather than refused."""
    normalize: bool | None = None
    """TextEmbeddingsInference: whether vectors are scaled to length 1."""
    prompt_name: Printable | None = None
    """TextEmbeddingsInference: which of the model's prompts goes before each text."""

    input: Printable | None = None
    """OpenInferenceV2: the input tensor; None for the only one that the model's metadata lists.
    OpenInferenceV2Images: that of the prompt."""
    output: Printable | None = None
    """OpenInferenceV2, OpenInferenceV2Images: the output tensor; None for the only one that comes back."""
    datatype: Datatype | None = None
    """OpenInferenceV2: what the output must be; None accepts each of them."""
    binary: bool | None = None
    """OpenInferenceV2, OpenInferenceV2Images: tensors as bytes behind the JSON (binary tensor data
    extension); None for no."""

    body: dict[str, pydantic.JsonValue] | list[pydantic.JsonValue] | None = None
    """GenericJSON: the request, with one of the placeholders `LIST_OF_INPUTS` and `ONE_INPUT`."""
    vectors: JSONPath | None = None
    """GenericJSON: where the response holds vectors, one match for each input in their order."""
    image_form: ImageForm | None = None
    """GenericJSON; None for `Base64`."""
    images: JSONPath | None = None
    """GenericJSON of a generator, in place of `vectors`: where the response holds its image, in base64."""

    after: v.Name | None = None
    """Of what draws: the operation whose image this one goes on with, such as a draft."""
    image_hosts: Annotated[tuple[Authority, ...], pydantic.Field(max_length=8)] | None = None
    """OpenAIImages: from where, besides the server, an image may be fetched that is answered by URL."""
    url: Annotated[str, pydantic.StringConstraints(pattern=r"^https?://[!-~]{1,500}$")] | None = None
    """Base URL where this operation is asked, when it goes through another port or Service than the pod's."""

    @pydantic.model_validator(mode="after")
    def _fits_its_protocol(self) -> Self:
        own = _OWN_FIELDS[self.protocol]
        for field in sorted(frozenset().union(*_OWN_FIELDS.values()) - own):
            if getattr(self, field) is not None:
                says = type(self).model_fields[field].alias
                owners = " and ".join(p for p, fields in _OWN_FIELDS.items() if field in fields)
                raise ValueError(f"{says} is a field of the protocol {owners}, not of {self.protocol}")
        if self.protocol is v.Protocol.TEXT_EMBEDDINGS_INFERENCE and self.modality is not v.Modality.TEXT:
            raise ValueError("the protocol TextEmbeddingsInference carries texts only")
        if self.protocol in _IN_PATH and self.model is None:
            raise ValueError(f"the protocol {self.protocol} has the model in its path and needs `model`")
        return self

    @pydantic.model_validator(mode="after")
    def _has_a_sound_body(self) -> Self:
        if self.protocol is v.Protocol.GENERIC_JSON:
            found = self.vectors or self.images
            if self.body is None or found is None or self.path is None:
                raise ValueError("the protocol GenericJSON needs `path`, `body` and `vectors`")
            if self.vectors is not None and self.images is not None:
                raise ValueError("vectors and images exclude each other")
            if found.count("..") > 1:
                raise ValueError(
                    f"{'images' if self.vectors is None else 'vectors'} may descend with `..` once"
                )
            _bound("body", self.body)
            _check_placeholders(self.body)
        if self.extra_body is not None:
            _bound("extraBody", self.extra_body)
            keys = _IMAGES_KEYS if self.protocol is v.Protocol.OPENAI_IMAGES else _OPENAI_KEYS
            taken = sorted(keys & self.extra_body.keys())
            if taken:
                raise ValueError(f"extraBody may not hold `{taken[0]}`, which the request has already")
        if not self.draws and self.after is not None:
            raise ValueError("only an operation that draws goes on after another one")
        if self.draws and self.modality is not v.Modality.TEXT:
            raise ValueError("an operation that draws reads a prompt, so its modality is Text")
        return self

    @property
    def draws(self) -> bool:
        """Whether it answers a prompt with an image."""
        return self.protocol in _DRAWING or self.images is not None

    @property
    def edits(self) -> bool:
        """Whether it draws on an image that it is given: that of another operation, or the check's own."""
        if self.protocol is v.Protocol.OPENAI_IMAGES:
            return self.after is not None or (self.path or "").endswith("/edits")
        if self.protocol is v.Protocol.OPEN_INFERENCE_V2_IMAGES:
            return self.after is not None
        return IMAGE in _strings(self.body, into_each=True)

    @property
    def one_by_one(self) -> bool:
        """Whether a request can carry one input only."""
        return ONE_INPUT in _strings(self.body, into_each=False)

    def endpoint(self, url: str) -> str:
        """Return the URL to POST to on a server with the base URL `url`."""
        return re.sub(r"/+$", "", url) + (self.path or self._own_path())

    def _own_path(self) -> str:
        if self.protocol in _IN_PATH:
            return f"/v2/models/{parse.quote(self.model or '', safe='')}/infer"
        return {
            v.Protocol.OPENAI_EMBEDDINGS: "/v1/embeddings",
            v.Protocol.TEXT_EMBEDDINGS_INFERENCE: "/embed",
            v.Protocol.OPENAI_IMAGES: "/v1/images/edits" if self.edits else "/v1/images/generations",
        }[self.protocol]


def _bound(field: str, value: Any) -> None:
    """Refuse what is no JSON of a sensible size."""
    if _depth(value) > _BODY_DEPTH:
        raise ValueError(f"{field} is nested more than {_BODY_DEPTH} levels deep")
    if len(json.dumps(value, allow_nan=False).encode()) > _BODY_BYTES:
        raise ValueError(f"{field} is larger than {_BODY_BYTES} bytes")


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level and depth <= _BODY_DEPTH:
        level = [child for one in level for child in _children(one)]
        depth += 1
    return depth


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _check_placeholders(body: Any) -> None:
    places = [text for text in _strings(body, into_each=True) if text in {LIST_OF_INPUTS, ONE_INPUT}]
    if len(places) != 1:
        raise ValueError(
            f'body must hold "{LIST_OF_INPUTS}" or "{ONE_INPUT}" once, and holds them {len(places)} times'
        )
    each = [one for one in _objects(body) if EACH in one]
    if any(len(one) != 1 for one in each) or len(each) > 1:
        raise ValueError(f'"{EACH}" must be the only key of its object and stand once')
    if each and ONE_INPUT not in _strings(each[0][EACH], into_each=True):
        raise ValueError(f'"{EACH}" must hold "{ONE_INPUT}"')


def _strings(value: Any, *, into_each: bool) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    if into_each or not (isinstance(value, dict) and EACH in value):
        for child in _children(value):
            yield from _strings(child, into_each=into_each)


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for child in _children(value):
        yield from _objects(child)
