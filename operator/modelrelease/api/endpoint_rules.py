"""The rules about how a model is asked: what each protocol needs, and what it knows nothing of."""

from collections.abc import Mapping
from typing import Any, Final

from modelrelease.api import endpoint as endpoints
from modelrelease.api import image_rules, probe_endpoint, rule

Protocol = endpoints.Protocol

_PROTOCOL_FIELDS: Final = {
    field: tuple(protocol.value for protocol, fields in endpoints.OWN_FIELDS.items() if field in fields)
    for field in dict.fromkeys(field for fields in endpoints.OWN_FIELDS.values() for field in fields)
}
_GENERIC_NEEDS: Final = ("path", "body")
_GENERIC_FINDS: Final = ("vectors", "images")


def _only_its_own(operation: Mapping[str, Any]) -> bool:
    owners = (owners for field, owners in _PROTOCOL_FIELDS.items() if field in operation)
    return all(operation["protocol"] in known for known in owners)


def _names_models(release: Mapping[str, Any]) -> bool:
    if "servedName" in release["model"]:
        return True
    endpoint = release["endpoint"]
    if endpoint.get("protocol") == Protocol.OPEN_INFERENCE_V2:
        return False
    return all(
        not operation["protocol"].startswith(Protocol.OPEN_INFERENCE_V2) or "model" in operation
        for operation in endpoint.get("operations", ())
    )


ENDPOINT_RULES: Final[tuple[rule.Rule, ...]] = (
    rule.Rule(
        id="endpoint-generic",
        paths=("spec.endpoint.protocol",),
        cel=f"self != '{Protocol.GENERIC_JSON}'",
        message=(
            "must not be GenericJSON, which has to be told how to ask: write operations with path, body and "
            "vectors instead of protocol"
        ),
        holds=lambda protocol: protocol != Protocol.GENERIC_JSON,
    ),
    rule.Rule(
        id="operation-generic",
        paths=("spec.endpoint.operations[*]",),
        cel=f"self.protocol != '{Protocol.GENERIC_JSON}' || "
        f"({' && '.join(f'has(self.{field})' for field in _GENERIC_NEEDS)} && "
        "has(self.vectors) != has(self.images))",
        message=(
            "must have path, body and one of vectors and images with GenericJSON: what to send, and where "
            "the vectors or the image are"
        ),
        holds=lambda operation: (
            operation["protocol"] != Protocol.GENERIC_JSON
            or (
                all(field in operation for field in _GENERIC_NEEDS)
                and rule.has_one_of(operation, _GENERIC_FINDS)
            )
        ),
    ),
    rule.Rule(
        id="operation-fields",
        paths=("spec.endpoint.operations[*]",),
        cel=" && ".join(
            f"(!has(self.{field}) || self.protocol in {list(owners)})"
            for field, owners in _PROTOCOL_FIELDS.items()
        ),
        message=(
            "must have no field of another protocol than its own, because it would do nothing: remove it, or "
            "correct protocol"
        ),
        holds=_only_its_own,
    ),
    rule.Rule(
        id="operation-modality",
        paths=("spec.endpoint.operations[*]",),
        field=".modality",
        cel=f"self.modality == 'Text' || self.protocol != '{Protocol.TEXT_EMBEDDINGS_INFERENCE}'",
        message="must be Text with TextEmbeddingsInference, which carries nothing else",
        holds=lambda operation: (
            operation["modality"] == "Text" or operation["protocol"] != Protocol.TEXT_EMBEDDINGS_INFERENCE
        ),
    ),
    rule.Rule(
        id="operation-model",
        paths=("spec",),
        field=".endpoint",
        cel=(
            "has(self.model.servedName) || "
            f"((!has(self.endpoint.protocol) || self.endpoint.protocol != '{Protocol.OPEN_INFERENCE_V2}') && "
            "(!has(self.endpoint.operations) || self.endpoint.operations.all(o, "
            f"!o.protocol.startsWith('{Protocol.OPEN_INFERENCE_V2}') || has(o.model))))"
        ),
        message=(
            "must say with OpenInferenceV2 which model is asked, because its name is in the path: set "
            "model.servedName, or model in each such operation"
        ),
        holds=_names_models,
    ),
    *image_rules.IMAGE_RULES,
    *probe_endpoint.PROBE_RULES,
)
