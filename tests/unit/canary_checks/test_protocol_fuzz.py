"""Whatever a server answers becomes an answer or a sentence, never another exception."""

import base64
import json
from collections.abc import Callable
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from canary_checks import failure, operation
from canary_checks.clients import (
    client,
    describing,
    generic_json,
    openai_embeddings,
    openapi,
    parsing,
    waiting,
)
from canary_checks.clients import open_inference_v2 as oip
from canary_checks.clients import text_embeddings_inference as tei

PATHS = ["$.e[*]", "$..e", "$[*]['a']", "$[-1:]", "$.*", "$..*", "$[0][1]"]
# The words of the protocols, so that the search gets past the first look.
VOCABULARY = """
data index embedding model error message object tokens count id outputs name shape datatype FP32 BF16 FP64
parameters binary_data_size e a paths /e post requestBody content application/json schema properties $ref
#/paths anyOf required type array items enum info version
"""
WORDS = st.sampled_from(VOCABULARY.split())
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 9),
    st.integers(),
    st.floats(),
    WORDS,
    st.text(max_size=8),
    st.binary(max_size=9).map(lambda raw: base64.b64encode(raw).decode()),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(WORDS, st.text(max_size=3)), inner, max_size=5),
    ),
    max_leaves=24,
)
ENTRIES = st.fixed_dictionaries({"index": SCALARS, "embedding": VALUES})
OUTPUTS = st.fixed_dictionaries(
    {
        "name": st.one_of(st.just("e"), SCALARS, VALUES),
        "shape": st.one_of(st.lists(st.integers(-1, 3), max_size=3), VALUES),
        "datatype": st.one_of(st.sampled_from(["FP16", "BF16", "FP32", "FP64"]), SCALARS),
    },
    optional={
        "data": st.one_of(st.lists(SCALARS, max_size=6), VALUES),
        "parameters": st.one_of(
            st.fixed_dictionaries({"binary_data_size": st.one_of(st.integers(-1, 24), SCALARS)}), VALUES
        ),
    },
)
DOCUMENTS = st.one_of(
    VALUES,
    st.fixed_dictionaries({"data": st.lists(st.one_of(ENTRIES, VALUES), max_size=4)}),
    st.fixed_dictionaries({"outputs": st.lists(st.one_of(OUTPUTS, VALUES), max_size=3)}),
    st.lists(st.lists(SCALARS, max_size=4), max_size=4),
)
BODIES = st.one_of(st.binary(max_size=64), DOCUMENTS.map(lambda value: json.dumps(value).encode()))


def judged(read: Callable[[], Any]) -> None:
    """Run a parser: it returns, or it raises a `CheckError` whose message is one printable sentence."""
    found, wrong = None, None
    try:
        found = read()
    except failure.CheckError as error:
        wrong = error
    if wrong is not None:
        assert wrong.reason == "ResponseInvalid"
        assert wrong.message
        assert wrong.message.isprintable()
    vectors = found.vectors if isinstance(found, client.Answer) else []
    for vector in vectors:
        assert vector.dtype == np.float32
        assert vector.ndim == 1
        assert len(vector)


@hypothesis.given(BODIES, st.booleans())
@hypothesis.settings(max_examples=300)
def test_openai(body, as_base64):
    judged(lambda: openai_embeddings.answer(body, as_base64=as_base64))
    assert isinstance(openai_embeddings.tokens(body), tuple | None)


@hypothesis.given(BODIES, st.integers(0, 3))
@hypothesis.settings(max_examples=300)
def test_tei(body, count):
    judged(lambda: tei.answer(body))
    judged(lambda: tei.tokens(body, count))


@hypothesis.given(
    BODIES,
    st.binary(max_size=24),
    st.one_of(st.none(), st.integers(-2, 40).map(str), st.text(max_size=4)),
    st.sampled_from([None, "name", "e"]),
    st.sampled_from([None, *operation.Datatype]),
)
@hypothesis.example(b'{"outputs":[{"name":[]}]}', b"", None, "e", None)
@hypothesis.settings(max_examples=500)
def test_open_inference(head, rest, said, output, datatype):
    for length in (said, str(len(head))):
        judged(
            lambda length=length: oip.answer(
                head + rest, header_length=length, output=output, datatype=datatype
            )
        )


@hypothesis.given(BODIES, st.sampled_from(PATHS), st.integers(1, 3))
@hypothesis.settings(max_examples=300)
def test_generic(body, vectors, limit):
    judged(lambda: generic_json.answer(body, generic_json.compiled(vectors), limit))


@hypothesis.given(DOCUMENTS)
@hypothesis.settings(max_examples=300)
def test_descriptions_are_bounded_and_printable(value):
    for told in (describing.flat(value, "x"), openapi.schema_of(value, "/e")):
        assert len(told) <= 256
        assert all(name.isprintable() and len(name) <= 160 for name in told)
        assert all(said.isprintable() and len(said) <= 128 for said in told.values())


@hypothesis.given(VALUES)
@hypothesis.settings(max_examples=300)
def test_openapi_documents(schema):
    content = {"content": {"application/json": {"schema": schema}}}
    route = {"post": {"requestBody": content, "responses": {"200": content}}}
    told = openapi.schema_of({"paths": {"/e": route}, "info": {"version": "1"}}, "/e")
    assert all(name.isprintable() and len(said) <= 128 for name, said in told.items())


@hypothesis.given(st.text(max_size=40))
@hypothesis.example("Wed, 21 Oct 99999 07:28:00 GMT")
@hypothesis.example("Wed, 21 Oct 2015 07:28:00 +9999999")
def test_retry_after(header):
    asked = waiting.seconds(header)
    assert asked is None or asked >= 0


@pytest.mark.parametrize("depth", [500, 990, 5000, 300_000])
@pytest.mark.parametrize("shape", ["[{}]", '{{"a":{}}}'])
def test_deep_documents(depth, shape):
    before, after = shape.split("{}") if shape == "[{}]" else ('{"a":', "}")
    body = (before * depth + "1" + after * depth).encode()
    judged(lambda: parsing.document(body))
    judged(lambda: openai_embeddings.answer(body, as_base64=False))
    judged(lambda: tei.answer(body))
    judged(lambda: oip.answer(body))
    for vectors in PATHS:
        judged(lambda vectors=vectors: generic_json.answer(body, generic_json.compiled(vectors), 2))
    try:
        value = parsing.document(body)
    except failure.CheckError:
        return
    assert len(describing.flat(value, "x")) <= 256
    assert len(openapi.schema_of({"paths": {"/e": {"post": {"requestBody": value}}}}, "/e")) <= 256
