"""The base of every model that users write or read, and the scalar types of the API."""

import dataclasses
import datetime
import re
from typing import Annotated, Any, Final

import pydantic
import pydantic_core
from pydantic import alias_generators
from pydantic_core import core_schema


class ApiModel(pydantic.BaseModel):
    """A frozen, closed model with the camelCase names of Kubernetes."""

    model_config = pydantic.ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=alias_generators.to_camel,
        populate_by_name=True,
        use_attribute_docstrings=True,
    )


# --- Lists --------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class ListMap:
    """Annotates a list of models as a map: entries are merged by these keys, and no two share them."""

    keys: tuple[str, ...]

    def __get_pydantic_core_schema__(
        self, source: Any, handler: pydantic.GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Refuse duplicates."""
        return core_schema.no_info_after_validator_function(self._unique, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: pydantic.GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Say it to the API server."""
        marks = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(self.keys)}
        return handler(schema) | marks

    def _unique(self, entries: list[Any]) -> list[Any]:
        return _without_duplicates(
            entries, [tuple(str(getattr(entry, key)) for key in self.keys) for entry in entries]
        )


class ListSet:
    """Annotates a list of scalars as a set."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: pydantic.GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Refuse duplicates."""
        return core_schema.no_info_after_validator_function(self._unique, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: pydantic.GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Say it to the API server."""
        return handler(schema) | {"x-kubernetes-list-type": "set"}

    @staticmethod
    def _unique(entries: list[Any]) -> list[Any]:
        return _without_duplicates(entries, [(str(entry),) for entry in entries])


def _without_duplicates(entries: list[Any], keys: list[tuple[str, ...]]) -> list[Any]:
    twice = next((key for index, key in enumerate(keys) if key in keys[:index]), None)
    if twice is None:
        return entries
    raise pydantic_core.PydanticCustomError(
        "duplicate", "must have one entry for {key}, not two: remove one", {"key": "/".join(twice)}
    )


# --- Parts that belong to Kubernetes ------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class ShapedBy:
    """Annotates a dict that is checked against a model and then kept as it was written."""

    model: type[pydantic.BaseModel]

    def __get_pydantic_core_schema__(
        self, source: Any, handler: pydantic.GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Check with the model, return the dict."""
        return core_schema.no_info_wrap_validator_function(
            self._kept,
            handler.generate_schema(self.model),
            serialization=core_schema.simple_ser_schema("any"),
        )

    @staticmethod
    def _kept(value: Any, check: core_schema.ValidatorFunctionWrapHandler) -> Any:
        check(value)
        return value


# --- Times --------------------------------------------------------------------------------------------------


def _utc(value: datetime.datetime) -> datetime.datetime:
    if value.tzinfo is None:
        raise ValueError("a time needs a zone, such as Z")
    return value.astimezone(datetime.UTC)


def _rfc3339(value: datetime.datetime) -> str:
    return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")


Time = Annotated[
    datetime.datetime,
    pydantic.AfterValidator(_utc),
    pydantic.PlainSerializer(_rfc3339, return_type=str, when_used="json"),
]
"""A point in time: aware, UTC; RFC 3339 with milliseconds on the wire."""

# --- Strings ------------------------------------------------------------------------------------------------

DNS_LABEL: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
DNS_SUBDOMAIN: Final = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
REVISION: Final = r"^r[0-9a-f]{10}$"
DIGEST: Final = r"^sha256:[a-f0-9]{64}$"
DECIMAL: Final = r"^-?[0-9]+(\.[0-9]+)?([eE]-?[0-9]{1,2})?$"
PERCENTAGE: Final = r"^(100|[1-9]?[0-9])%$"
LABEL_VALUE: Final = r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"
PATH: Final = r"^/[-A-Za-z0-9._~:/]*$"
_PART: Final = r"[A-Za-z0-9_][-A-Za-z0-9._]*"
RELATIVE_PATH: Final = rf"^{_PART}(/{_PART})*$"
FOLDER: Final = rf"^(/{_PART})+$"
ARTIFACT_URI: Final = (
    rf"^(pvc://[a-z0-9]([-a-z0-9.]*[a-z0-9])?(/{_PART})*"
    rf"|hf://{_PART}(/{_PART})?(@{_PART}(/{_PART})*)?"
    rf"|image://[a-z0-9][-A-Za-z0-9._:/]*(@sha256:[a-f0-9]{{64}})?)$"
)
PINNED_IMAGE: Final = r"^[a-z0-9][-A-Za-z0-9._:/]*@sha256:[a-f0-9]{64}$"
PRINTABLE: Final = r"^[ -~]+$"
JSON_PATH: Final = (
    r"^\$((\.\.?|\.)([A-Za-z_][A-Za-z0-9_]*|\*)"
    r"|(\.\.)?\[(\*|-?[0-9]{1,6}|(-?[0-9]{1,6})?:(-?[0-9]{1,6})?|'[^'\\\x00-\x1f]{1,64}')\])+$"
)
POSITIVE_DECIMAL: Final = r"^[0-9]{1,9}(\.[0-9]{1,9})?$"
SCALE: Final = r"^[0-9]{1,3}(\.[0-9]{1,4})?$"
CURRENCY: Final = r"^[A-Z]{3}$"
AUTHORITY: Final = r"^[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?$"
VARIABLE: Final = r"^[A-Za-z_][A-Za-z0-9_]*$"
CLASS_NAME: Final = r"^[A-Z][A-Za-z0-9]+$"
DATA_KEY: Final = r"^[-._a-zA-Z0-9]+$"
HTTP_URL: Final = r"^https?://[A-Za-z0-9\[][!-~]*$"
QUANTITY: Final = r"^[0-9]+(\.[0-9]+)?([eE][0-9]{1,2}|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$"

PATTERN_WORDS: Final = {
    DNS_LABEL: "lowercase letters, digits and '-', with a letter or digit at both ends",
    DNS_SUBDOMAIN: "lowercase letters, digits, '-' and '.', with a letter or digit at both ends",
    REVISION: "a revision as in status, such as r0123456789",
    DIGEST: "sha256: and 64 hexadecimal digits",
    DECIMAL: 'a decimal number in quotes, such as "0.001"',
    LABEL_VALUE: "letters, digits, '-', '_' and '.', with a letter or digit at both ends",
    PATH: "a path that starts with / and has no query",
    RELATIVE_PATH: "a path below a folder, such as 1_Pooling/config.json, without '..' and hidden parts",
    PRINTABLE: "printable ASCII",
    JSON_PATH: "a JSONPath of names, indices, slices and wildcards, such as $.data[*].embedding",
    POSITIVE_DECIMAL: 'a decimal number of 0 or more in quotes, such as "1.25"',
    SCALE: 'a decimal number of 0 or more with at most 4 decimals in quotes, such as "7.5"',
    CURRENCY: "three capital letters, such as USD",
    AUTHORITY: "a host, or a host and a port, such as files.shop:8080",
    VARIABLE: "letters, digits and '_', with no digit first",
    CLASS_NAME: "letters and digits, with a capital letter first",
    DATA_KEY: "letters, digits, '-', '_' and '.'",
    HTTP_URL: "a URL that starts with http:// or https://",
    FOLDER: "an absolute path, such as /models, without '..' and hidden parts",
    ARTIFACT_URI: (
        "pvc://claim/path, image://name@sha256:digest or hf://organisation/name@commit, without '..' and "
        "hidden parts"
    ),
}
"""What a pattern asks for, in the words of the offline linter."""

DnsLabel = Annotated[str, pydantic.Field(min_length=1, max_length=63, pattern=DNS_LABEL)]
DnsSubdomain = Annotated[str, pydantic.Field(min_length=1, max_length=253, pattern=DNS_SUBDOMAIN)]
"""The name of most objects, such as a ServiceAccount."""
RevisionName = Annotated[str, pydantic.Field(max_length=11, pattern=REVISION)]
Reason = Annotated[str, pydantic.Field(min_length=1, max_length=512)]
"""Why a person overrides the operator: one sentence, required."""
Digest = Annotated[str, pydantic.Field(max_length=71, pattern=DIGEST)]
DecimalString = Annotated[str, pydantic.Field(min_length=1, max_length=24, pattern=DECIMAL)]
"""A decimal number as a string: Kubernetes APIs have no floats."""
LabelValue = Annotated[str, pydantic.Field(max_length=63, pattern=LABEL_VALUE)]
AnnotationValue = Annotated[str, pydantic.Field(max_length=262_144)]
"""As long as all annotations of an object may be together."""

# --- Numbers ------------------------------------------------------------------------------------------------

Count = Annotated[int, pydantic.Field(ge=0, le=2_147_483_647)]
Seconds = Annotated[int, pydantic.Field(ge=0, le=2_592_000)]
"""A duration in whole seconds, at most 30 days."""

PODS_MAX: Final = 100_000
INT_OR_PERCENTAGE: Final = "must be a number of pods, 0 or more, or a percentage from 0% to 100%, such as 25%"


def is_int_or_percentage(value: Any) -> bool:
    """Return whether the value is a number of pods, or a percentage."""
    if isinstance(value, str):
        return re.fullmatch(PERCENTAGE[1:-1], value) is not None
    return type(value) is int and 0 <= value <= PODS_MAX


def _int_or_percentage(value: Any) -> Any:
    if not is_int_or_percentage(value):
        raise pydantic_core.PydanticCustomError("int_or_percentage", INT_OR_PERCENTAGE)
    return value


_INT_OR_STRING: Final = pydantic.WithJsonSchema({"x-kubernetes-int-or-string": True})
IntOrString = Annotated[int | str, pydantic.PlainValidator(_int_or_percentage), _INT_OR_STRING]
"""A number of pods, or a percentage of ``replicas`` as in a Deployment."""

QUANTITY_LENGTH_MAX: Final = 32


def _quantity(value: Any) -> Any:
    if type(value) is int or (
        isinstance(value, str) and len(value) <= QUANTITY_LENGTH_MAX and re.fullmatch(QUANTITY[1:-1], value)
    ):
        return value
    raise pydantic_core.PydanticCustomError("quantity", "must be a quantity such as 500m, 2 or 4Gi")


Quantity = Annotated[
    int | str,
    pydantic.PlainValidator(_quantity),
    pydantic.WithJsonSchema(
        {"x-kubernetes-int-or-string": True, "maxLength": QUANTITY_LENGTH_MAX, "pattern": QUANTITY}
    ),
]
"""An amount of a resource."""
