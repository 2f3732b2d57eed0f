"""What an operation may say: bounded, and only what its protocol can do."""

import json
from typing import Any

import hypothesis
import pydantic
import pytest
from hypothesis import strategies as st

from canary_checks import operation
from canary_checks.clients import generic_json

GENERIC = {"protocol": "GenericJSON", "path": "/e", "body": {"texts": "$inputs"}, "vectors": "$.e[*]"}


def parsed(**fields: Any) -> operation.Operation:
    raw = json.dumps({"name": "embed", "protocol": "OpenAIEmbeddings"} | fields)
    return operation.Operation.model_validate_json(raw, by_alias=True, by_name=False)


@pytest.mark.parametrize(
    "fields",
    [
        {"encoding": "Base64", "dimensions": 256, "extraBody": {"user": "probe", "nested": [{"a": None}]}},
        {"modality": "Image"},
        {"protocol": "TextEmbeddingsInference", "truncate": True, "normalize": False, "promptName": "query"},
        {"protocol": "TextEmbeddingsInference", "dimensions": 8},
        {
            "protocol": "OpenInferenceV2",
            "model": "clip",
            "input": "T",
            "output": "E",
            "datatype": "BF16",
            "binary": True,
        },
        GENERIC | {"imageForm": "DataURI", "modality": "Image"},
        GENERIC | {"body": ["$inputs"]},
        GENERIC | {"body": {"instances": {"$each": {"text": "$input", "kind": "query"}}}},
    ],
)
def test_what_a_protocol_knows_is_kept_through_json(fields):
    one = parsed(**fields)
    text = one.model_dump_json(by_alias=True, exclude_none=True)
    assert operation.Operation.model_validate_json(text, by_alias=True, by_name=False) == one


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"truncate": True}, "truncate is a field of the protocol TextEmbeddingsInference, not of OpenAIEmb"),
        ({"promptName": "q"}, "promptName is a field of the protocol TextEmbeddingsInference"),
        ({"protocol": "TextEmbeddingsInference", "encoding": "Float"}, "encoding is a field of the protocol"),
        (
            {"protocol": "OpenInferenceV2", "model": "m", "dimensions": 3},
            "dimensions is a field of the protocol OpenAIEmbeddings and TextEmbeddingsInference",
        ),
        ({"protocol": "TextEmbeddingsInference", "modality": "Image"}, "carries texts only"),
        ({"protocol": "OpenInferenceV2"}, "needs `model`"),
        ({"protocol": "OpenInferenceV2", "model": "m", "datatype": "INT8"}, "Input should be 'FP16', 'BF16'"),
        ({"protocol": "OpenInferenceV2", "model": "m", "binary": "yes"}, "Input should be a valid boolean"),
        ({"dimensions": 0}, "greater than or equal to 1"),
        ({"extraBody": {"model": "other"}}, "extraBody may not hold `model`"),
        ({"extraBody": {"input": []}}, "extraBody may not hold `input`"),
        ({"extraBody": {"a": "b" * 9000}}, "extraBody is larger than 8192 bytes"),
        ({"extraBody": json.loads('{"a":' * 20 + "1" + "}" * 20)}, "nested more than 16 levels"),
        ({"extra_body": {}}, "Extra inputs are not permitted"),
        ({"protocol": "GenericJSON"}, "needs `path`, `body` and `vectors`"),
        (GENERIC | {"path": None}, "needs `path`, `body` and `vectors`"),
        (GENERIC | {"body": {}}, 'must hold "$inputs" or "$input" once, and holds them 0 times'),
        (GENERIC | {"body": ["$inputs", "$input"]}, "holds them 2 times"),
        (GENERIC | {"body": {"$each": "$inputs"}}, '"$each" must hold "$input"'),
        (GENERIC | {"body": {"$each": "$input", "a": 1}}, "must be the only key"),
        (GENERIC | {"body": {"$each": {"$each": "$input"}}}, "stand once"),
        (GENERIC | {"vectors": "e"}, "should match pattern"),
        (GENERIC | {"vectors": "$"}, "should match pattern"),
        (GENERIC | {"vectors": "$.e[?@.a > 1]"}, "should match pattern"),
        (GENERIC | {"vectors": "$..a..b"}, "may descend with `..` once"),
        (GENERIC | {"vectors": "$" + ".a" * 200}, "at most 253 characters"),
    ],
)
def test_what_a_protocol_does_not_know_is_refused_with_a_sentence(fields, message):
    with pytest.raises(pydantic.ValidationError) as caught:
        parsed(**fields)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("body", "one_by_one", "filled"),
    [
        ({"texts": "$inputs", "n": 1}, False, {"texts": ["a", "b"], "n": 1}),
        (["$inputs"], False, [["a", "b"]]),
        ({"q": {"text": "$input"}}, True, {"q": {"text": "a"}}),
        ({"i": {"$each": {"t": "$input"}}}, False, {"i": [{"t": "a"}, {"t": "b"}]}),
        ({"i": {"$each": ["$input", "x"]}}, False, {"i": [["a", "x"], ["b", "x"]]}),
    ],
)
def test_a_body_is_filled(body, one_by_one, filled):
    one = parsed(**GENERIC | {"body": body})
    assert one.one_by_one is one_by_one
    assert generic_json.filled(one.body, ["a", "b"]) == filled
    assert one.body == body


@hypothesis.given(st.from_regex(r"\$[$.\[\]*:'a-c_0-2?@ -]{0,12}", fullmatch=True))
@hypothesis.example("$..[*]")
@hypothesis.example("$[::]")
@hypothesis.example("$['a b'][-1:]")
def test_every_path_that_an_operation_takes_can_be_applied(vectors):
    try:
        parsed(**GENERIC | {"vectors": vectors})
    except pydantic.ValidationError:
        return
    generic_json.compiled(vectors)
