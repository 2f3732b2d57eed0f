"""Every protocol over real HTTP: what is sent, what is read, and what is wrong with an answer."""

import base64
import json
import math
import struct
from typing import Any

import numpy as np
import pytest

from canary_checks import failure, inputs, operation
from canary_checks import vocabulary as v
from canary_checks.clients import client as clients
from canary_checks.clients import connect, describing, generic_json, openai_embeddings, parsing, transport
from canary_checks.clients import open_inference_v2 as oip
from canary_checks.clients import text_embeddings_inference as tei
from tests.unit.canary_checks import toy_protocols, toy_server

OPENAI = v.Protocol.OPENAI_EMBEDDINGS
TEI = v.Protocol.TEXT_EMBEDDINGS_INFERENCE
OIP = v.Protocol.OPEN_INFERENCE_V2
GENERIC = v.Protocol.GENERIC_JSON

TEXTS = [inputs.Text("a cat"), inputs.Text("ein Hündchen"), inputs.Text("a bird")]
IMAGES = [inputs.Image(b"\xff\xd8\xff one", "image/jpeg"), inputs.Image(b"\x89PNG two", "image/png")]

PREDICT = {
    "path": "/v1/models/m:predict",
    "body": {"instances": {"$each": {"text": "$input"}}},
    "vectors": "$.predictions[*].embedding",
}
ENCODE = {
    "path": "/encode",
    "body": {"query": "$input", "options": {"pool": "mean"}},
    "vectors": "$.result.vector",
}
SAYS_INPUT = {"input": "TEXT"}


def client_of(url: str, protocol: v.Protocol, **fields: Any) -> clients.EmbeddingClient:
    asked = operation.Operation(name="embed", protocol=protocol, **fields)
    limits = transport.Limits(backoff_seconds=0.001, patience_seconds=0)
    return connect.connect(asked, url=url, run="run-1", limits=limits)


async def embed(
    toy: toy_server.ToyServer, asked: list[Any], protocol: v.Protocol, **fields: Any
) -> clients.Answer:
    async with client_of(toy.url, protocol, **fields) as client:
        return await client.embed(asked)


def of_text(toy: toy_server.ToyServer, asked: list[Any]) -> Any:
    """Return what the toy model makes of the inputs."""
    texts = [
        toy_protocols.of_image(one.content) if isinstance(one, inputs.Image) else one.content for one in asked
    ]
    return np.array([toy.model.vector(text, 0) for text in texts], dtype=np.float32)


@pytest.mark.parametrize(
    ("protocol", "fields", "closeness"),
    [
        (OPENAI, {"model": "toy"}, 0),
        (OPENAI, {"model": "toy", "encoding": operation.Encoding.BASE64}, 0),
        (TEI, {}, 0),
        (OIP, {"model": "toy-fp32", "input": "TEXT"}, 0),
        (OIP, {"model": "toy-fp32", "input": "TEXT", "binary": True}, 0),
        (OIP, {"model": "toy-fp64", "input": "TEXT", "output": "embedding", "binary": True}, 0),
        (OIP, {"model": "toy-fp16", "input": "TEXT", "output": "embedding", "binary": True}, 1e-3),
        (OIP, {"model": "toy-bf16", "input": "TEXT", "binary": True}, 4e-3),
        (OIP, {"model": "toy-bf16", "input": "TEXT", "binary": True, "datatype": "BF16"}, 4e-3),
        (GENERIC, PREDICT, 0),
        (GENERIC, ENCODE, 0),
    ],
)
async def test_every_protocol_brings_the_vectors_of_the_server(protocol, fields, closeness):
    fields = {key: operation.Datatype(one) if key == "datatype" else one for key, one in fields.items()}
    with toy_server.serving() as toy:
        answer = await embed(toy, TEXTS, protocol, **fields)
    rows = np.array(answer.in_order(3))
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows, of_text(toy, TEXTS), rtol=0, atol=closeness)
    assert {h["x-modelrelease-probe"] for h in toy.headers} == {"run-1"}
    assert all(len(h["traceparent"]) == 55 for h in toy.headers)


@pytest.mark.parametrize(
    ("protocol", "fields"),
    [
        (OPENAI, {"model": "toy"}),
        (OIP, {"model": "toy-fp32", "input": "IMAGE"}),
        (OIP, {"model": "toy-fp32", "input": "IMAGE", "binary": True}),
        (GENERIC, PREDICT | {"image_form": operation.ImageForm.DATA_URI}),
    ],
)
async def test_an_image_reaches_the_server_byte_by_byte(protocol, fields):
    with toy_server.serving() as toy:
        answer = await embed(toy, IMAGES, protocol, modality=v.Modality.IMAGE, **fields)
    np.testing.assert_array_equal(np.array(answer.in_order(2)), of_text(toy, IMAGES))


async def test_an_image_goes_to_infinity_as_a_data_uri_with_its_modality():
    with toy_server.serving() as toy:
        await embed(toy, IMAGES, OPENAI, model="toy", modality=v.Modality.IMAGE)
    assert toy.bodies[0] == {
        "model": "toy",
        "input": [
            "data:image/jpeg;base64," + base64.b64encode(IMAGES[0].content).decode(),
            "data:image/png;base64," + base64.b64encode(IMAGES[1].content).decode(),
        ],
        "encoding_format": "float",
        "modality": "image",
        "path": "/v1/embeddings",
    }


async def test_openai_requests_carry_what_the_manifest_says_and_no_more():
    fields = {"dimensions": 8, "extra_body": {"truncate_prompt_tokens": -1, "user": "probe"}}
    with toy_server.serving() as toy:
        await embed(toy, TEXTS[:1], OPENAI, model="toy", **fields)
        await embed(toy, TEXTS[:1], OPENAI, model="toy")
    assert toy.bodies[0] == toy.bodies[1] | {
        "dimensions": 8,
        "truncate_prompt_tokens": -1,
        "user": "probe",
    }


async def test_tei_requests_carry_what_the_manifest_says_and_no_more():
    fields = {"truncate": True, "normalize": False, "prompt_name": "query", "dimensions": 8}
    with toy_server.serving() as toy:
        await embed(toy, TEXTS[:1], TEI, **fields)
        await embed(toy, TEXTS[:1], TEI)
    assert toy.bodies[1] == {"inputs": ["a cat"], "path": "/embed"}
    assert toy.bodies[0] == toy.bodies[1] | {
        "truncate": True,
        "normalize": False,
        "prompt_name": "query",
        "dimensions": 8,
    }


# --- The paths and the model -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("protocol", "fields", "url"),
    [
        (OPENAI, {}, "http://x/v1/embeddings"),
        (OPENAI, {"path": "/openai/v1/embeddings"}, "http://x/openai/v1/embeddings"),
        (TEI, {}, "http://x/embed"),
        (OIP, {"model": "clip text/2"}, "http://x/v2/models/clip%20text%2F2/infer"),
        (
            OIP,
            {"model": "m", "path": "/v2/models/m/versions/3/infer"},
            "http://x/v2/models/m/versions/3/infer",
        ),
        (GENERIC, ENCODE, "http://x/encode"),
    ],
)
def test_every_protocol_has_its_path(protocol, fields, url):
    asked = operation.Operation(name="embed", protocol=protocol, **fields)
    assert asked.endpoint("http://x") == asked.endpoint("http://x//") == url


async def test_the_model_is_what_the_server_or_else_the_manifest_says():
    with toy_server.serving(documents={"/info": {"model_id": "a/model"}}) as toy:
        async with client_of(toy.url, TEI) as client:
            assert (await client.model(), await client.model(), client.sent) == ("a/model", "a/model", 0)
        assert await client_of(toy.url, OIP, model="clip").model() == "clip"
        assert await client_of(toy.url, GENERIC, **ENCODE).model() is None
        toy.documents = {}
        async with client_of(toy.url, TEI) as client:
            with pytest.raises(failure.CheckError, match="does not say which model") as caught:
                await client.model()
    assert caught.value.reason == "ModelUnknown"


# --- The input tensor --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("listed", "fields", "sent"),
    [
        ([{"name": "T", "datatype": "BYTES", "shape": [-1, 1]}], {}, ("T", [3, 1])),
        ([{"name": "T", "datatype": "BYTES", "shape": [-1]}], {}, ("T", [3])),
        ([{"name": "T", "datatype": "BYTES", "shape": [-1]}], {"input": "U"}, ("U", [3, 1])),
        ([{"name": "T", "shape": [-1]}, {"name": "U", "shape": [-1, 1]}], {"input": "U"}, ("U", [3, 1])),
        (None, {"input": "U"}, ("U", [3, 1])),
        ("nonsense", {"input": "U"}, ("U", [3, 1])),
    ],
)
async def test_the_input_tensor_is_as_the_metadata_say(listed, fields, sent):
    documents = {} if listed is None else {"/v2/models/m-fp32": {"name": "m-fp32", "inputs": listed}}
    with toy_server.serving(documents=documents) as toy:
        async with client_of(toy.url, OIP, model="m-fp32", **fields) as client:
            await client.embed(TEXTS)
            await client.embed(TEXTS)
            assert client.sent == 2
    assert [(body["inputs"][0]["name"], body["inputs"][0]["shape"]) for body in toy.bodies] == [sent] * 2


@pytest.mark.parametrize(
    ("about", "says"),
    [
        ({"inputs": []}, "lists 0 inputs"),
        ({"inputs": [{"name": "a"}, {"name": "b"}]}, "lists 2 inputs"),
        ({}, "lists 0 inputs"),
        (None, "has no metadata"),
    ],
)
async def test_an_input_that_cannot_be_chosen_must_be_named(about, says):
    documents = {} if about is None else {"/v2/models/m-fp32": about}
    with toy_server.serving(documents=documents) as toy:
        async with client_of(toy.url, OIP, model="m-fp32") as client:
            with pytest.raises(failure.CheckError, match=f"{says}, so the manifest must say which") as caught:
                await client.embed(TEXTS)
    assert (caught.value.reason, client.sent, toy.bodies) == ("ModelUnknown", 0, [])


# --- Tokens ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("protocol", "fields"), [(OPENAI, {"model": "toy"}), (TEI, {})])
async def test_a_server_that_tells_its_tokens_is_asked_besides(protocol, fields):
    texts = [f"text {i}" for i in range(40)]
    with toy_server.serving() as toy:
        async with client_of(toy.url, protocol, **fields) as client:
            ids = await client.tokenize(texts)
    assert ids == [tuple(toy_protocols.token_ids(text)) for text in texts]
    assert (client.sent, client.failed) == (0, 0)
    assert len(toy.bodies) == (2 if protocol is TEI else 40)
    assert {h["x-modelrelease-probe"] for h in toy.headers} == {"run-1"}


@pytest.mark.parametrize(
    ("protocol", "fields"),
    [
        (OPENAI, {"model": "toy"}),
        (OPENAI, {"model": "toy", "path": "/openai/v1/embeddings"}),
        (TEI, {}),
        (OIP, {"model": "m"}),
        (GENERIC, ENCODE),
    ],
)
async def test_a_server_that_does_not_tell_its_tokens_is_no_error(protocol, fields):
    with toy_server.serving(tokenizes=False) as toy:
        async with client_of(toy.url, protocol, **fields) as client:
            assert await client.tokenize(["a", "b"]) is None
            assert await client.tokenize(["a", "b"]) is None
    assert {body["path"] for body in toy.bodies} <= {"/tokenize", "/openai/tokenize"}


@pytest.mark.parametrize(
    "content",
    [b"<html>", b"[]", b"{}", b'{"tokens":[]}', b'{"tokens":[1],"count":2}', b'{"tokens":["a"],"count":1}'],
)
async def test_a_route_of_that_name_that_is_not_vllms_does_not_tell(content):
    with toy_server.serving(alter=lambda *_: (200, content)) as toy:
        async with client_of(toy.url, OPENAI, model="toy") as client:
            assert await client.tokenize(["a", "b"]) is None
            assert await client.tokenize(["a", "b"]) is None
    assert len(toy.bodies) == 1


@pytest.mark.parametrize("protocol", [OPENAI, TEI])
async def test_a_tokenizer_that_breaks_is_an_error(protocol):
    with toy_server.serving(alter=lambda *_: (500, b"boom")) as toy:
        async with client_of(toy.url, protocol, model="toy") as client:
            with pytest.raises(failure.CheckError) as caught:
                await client.tokenize(["a"])
    assert caught.value.reason == "EndpointError"


@pytest.mark.parametrize("content", [b"{}", b"[]", b"[[],[]]", b"[1]", b"[[{}]]", b'[[{"id":true}]]'])
def test_tokens_that_are_none_are_invalid(content):
    with pytest.raises(failure.CheckError) as caught:
        tei.tokens(content, 1)
    assert caught.value.reason == "ResponseInvalid"


# --- What a server tells of itself -------------------------------------------------------------------


OPENAPI = {
    "openapi": "3.1.0",
    "info": {"title": "Infinity", "version": "0.0.78"},
    "paths": {
        "/v1/embeddings": {
            "post": {
                "requestBody": {
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/In"}}}
                },
                "responses": {
                    "200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Out"}}}}
                },
            }
        }
    },
    "components": {
        "schemas": {
            "In": {"anyOf": [{"$ref": "#/components/schemas/Text"}, {"$ref": "#/components/schemas/In"}]},
            "Text": {
                "required": ["input"],
                "properties": {
                    "input": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
                    "encoding_format": {"enum": ["float", "base64"]},
                    "odd": {"$ref": "#/nowhere"},
                },
            },
            "Out": {
                "properties": {"data": {"type": "array", "items": {"$ref": "#/components/schemas/Row"}}},
            },
            "Row": {"type": "object"},
        }
    },
}


async def test_an_openai_server_tells_its_model_its_version_and_its_schema():
    listed = {"data": [{"id": "other"}, {"id": "toy", "max_model_len": 512, "created": 1, "stats": {"q": 2}}]}
    listed["data"][1]["capabilities"] = ["image_embed", "embed"]
    documents = {"/v1/models": listed, "/version": {"version": "0.9.1"}, "/openapi.json": OPENAPI}
    with toy_server.serving(documents=documents) as toy:
        async with client_of(toy.url, OPENAI, model="toy") as client:
            told = await client.describe()
    assert client.sent == 0
    assert told.pop("openapi.request.1.0.odd") == told.pop("openapi.request.0.odd") == "any"
    assert {name: said for name, said in told.items() if "request.1" not in name} == {
        "model.id": "toy",
        "model.max_model_len": "512",
        "model.capabilities": "[embed, image_embed]",
        "server.version": "0.9.1",
        "openapi.version": "0.0.78",
        "openapi.request.0.input": "array<string>|string, required",
        "openapi.request.0.encoding_format": "enum(base64, float)",
        "openapi.response.data": "array<object>",
    }


async def test_an_oip_server_tells_the_tensors_of_its_model():
    about = {
        "name": "clip",
        "versions": ["1", "2"],
        "platform": "onnx_onnxv1",
        "inputs": [{"name": "TEXT", "datatype": "BYTES", "shape": [-1, 1]}],
        "outputs": [{"name": "EMBEDDING", "datatype": "FP16", "shape": [-1, 512]}],
    }
    server = {"name": "triton", "version": "2.60.0", "extensions": ["binary_tensor_data"]}
    with toy_server.serving(documents={"/v2/models/clip": about, "/v2": server}) as toy:
        async with client_of(toy.url, OIP, model="clip") as client:
            told = await client.describe()
    assert told == {
        "model.name": "clip",
        "model.versions": "[1, 2]",
        "model.platform": "onnx_onnxv1",
        "model.inputs.TEXT.name": "TEXT",
        "model.inputs.TEXT.datatype": "BYTES",
        "model.inputs.TEXT.shape": "[-1, 1]",
        "model.outputs.EMBEDDING.name": "EMBEDDING",
        "model.outputs.EMBEDDING.datatype": "FP16",
        "model.outputs.EMBEDDING.shape": "[-1, 512]",
        "server.name": "triton",
        "server.version": "2.60.0",
        "server.extensions": "[binary_tensor_data]",
    }


@pytest.mark.parametrize(
    ("protocol", "fields"),
    [(OPENAI, {"model": "toy"}), (TEI, {}), (OIP, {"model": "m"}), (GENERIC, ENCODE)],
)
@pytest.mark.parametrize("document", [None, [], "text", {"data": 3, "paths": {"/encode": 3}}])
async def test_a_server_that_tells_nothing_or_nonsense_is_no_error(protocol, fields, document):
    paths = ["/v1/models", "/version", "/openapi.json", "/info", "/v2/models/m", "/v2"]
    with toy_server.serving(served_name="", documents=dict.fromkeys(paths, document)) as toy:
        async with client_of(toy.url, protocol, **fields) as client:
            told = await client.describe()
    assert set(told) <= {"info", "info.data", "info.paths./encode"}


def test_a_long_text_differs_where_the_texts_do():
    one, other = (describing.flat({"extensions": ["a" * 200, last]}, "server") for last in "xy")
    assert one["server.extensions"] != other["server.extensions"]
    assert {len(said) for said in (*one.values(), *other.values())} == {128}


async def test_a_server_that_is_gone_cannot_be_described():
    with toy_server.serving() as toy:
        url = toy.url
    async with client_of(url, TEI) as client:
        with pytest.raises(failure.CheckError) as caught:
            await client.describe()
    assert caught.value.reason == "EndpointUnreachable"


# --- Bad answers -------------------------------------------------------------------------------------


def told_by(content: object) -> bytes:
    return content if isinstance(content, bytes) else json.dumps(content).encode()


@pytest.mark.parametrize(
    ("embedding", "message"),
    [
        ([1.0], "is not the base64 text that was asked for"),
        (None, "is not the base64 text that was asked for"),
        ("AAAA*AAA", "is not valid base64"),
        ("AAAAAA", "is not valid base64"),
        ("ÄÄÄÄ", "is not valid base64"),
        ("", "of 0 bytes in base64 is no whole number of float32 values"),
        ("AAAA", "of 3 bytes in base64 is no whole number of float32 values"),
        (base64.b64encode(bytes(1537)).decode(), "of 1537 bytes in base64 is no whole number"),
    ],
)
def test_base64_of_the_wrong_length_is_invalid(embedding, message):
    content = told_by({"data": [{"index": 0, "embedding": embedding}]})
    with pytest.raises(failure.CheckError) as caught:
        openai_embeddings.answer(content, as_base64=True)
    assert caught.value.reason == "ResponseInvalid"
    assert message in caught.value.message


def test_base64_is_little_endian_float32_and_may_be_no_number():
    raw = struct.pack("<4f", 1.5, -2.0, math.nan, math.inf)
    content = told_by({"data": [{"index": 0, "embedding": base64.b64encode(raw).decode()}]})
    (row,) = openai_embeddings.answer(content, as_base64=True).in_order(1)
    np.testing.assert_array_equal(row, np.array([1.5, -2, np.nan, np.inf], dtype=np.float32))


@pytest.mark.parametrize("content", [{}, [1], [[]], [["a"]], [[1], None], {"error": "x"}, b"<p>"])
def test_tei_answers_that_are_none_are_invalid(content):
    with pytest.raises(failure.CheckError) as caught:
        tei.answer(told_by(content))
    assert caught.value.reason == "ResponseInvalid"


def output(**fields: Any) -> dict[str, Any]:
    return {"name": "e", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]} | fields


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "no list `outputs`"),
        ({"outputs": [1]}, "no list `outputs` of objects"),
        ({"outputs": []}, "has the outputs [], so the manifest must say"),
        ({"outputs": [output(), output(name="f")]}, "['e', 'f'], so the manifest must say"),
        ({"outputs": [output(datatype="INT64")]}, "datatype 'INT64', which holds no embedding"),
        ({"outputs": [output(datatype=None)]}, "which holds no embedding"),
        ({"outputs": [output(shape=None)]}, "`shape` is not a list of sizes"),
        ({"outputs": [output(shape=[1, -2])]}, "`shape` is not a list of sizes"),
        ({"outputs": [output(shape=[1, 10**400])]}, "`shape` is not a list of sizes"),
        ({"outputs": [output(shape=[2])]}, "embeddings have [inputs, dimensions]: is it not pooled?"),
        ({"outputs": [output(shape=[1, 7, 2])]}, "the shape [1, 7, 2]"),
        ({"outputs": [output(shape=[1, 0])]}, "the shape [1, 0]"),
        ({"outputs": [output(shape=[1, 3])]}, "has 2 numbers and the shape [1, 3]"),
        ({"outputs": [output(data=None)]}, "not a list of numbers"),
        ({"outputs": [output(data=[[1], [2, 3]])]}, "rows of the output differ in length"),
        ({"outputs": [output(data=[[[1, 2]]])]}, "not a number"),
        ({"outputs": [output(parameters={"binary_data_size": 8})]}, "ends 8 bytes before"),
        ({"outputs": [output(parameters={"binary_data_size": -8})]}, "not a number of bytes"),
        ({"outputs": [output(parameters={"binary_data_size": "8"})]}, "not a number of bytes"),
    ],
)
def test_oip_answers_that_are_none_are_invalid(content, message):
    with pytest.raises(failure.CheckError) as caught:
        oip.answer(told_by(content))
    assert caught.value.reason == "ResponseInvalid"
    assert message in caught.value.message


@pytest.mark.parametrize("length", ["", "-1", "1e3", "99999", "9" * 30, "٣"])
def test_a_length_of_the_json_that_cannot_be_is_invalid(length):
    with pytest.raises(failure.CheckError, match="inference-header-content-length says"):
        oip.answer(told_by({"outputs": [output()]}), header_length=length)


def test_an_output_of_another_type_than_declared_is_invalid():
    content = told_by({"outputs": [output()]})
    with pytest.raises(failure.CheckError, match="is of datatype FP32, and the manifest says FP16"):
        oip.answer(content, datatype=operation.Datatype.FP16)
    with pytest.raises(failure.CheckError, match=r"has the outputs \['e'\] and not 'pooled'"):
        oip.answer(content, output="pooled")


@pytest.mark.parametrize("data", [[1, None, 3, 4], [[1, None], [3, 4]]])
def test_oip_data_are_flat_or_nested_and_null_is_no_number(data):
    answer = oip.answer(told_by({"model_name": "m", "outputs": [output(shape=[2, 2], data=data)]}))
    np.testing.assert_array_equal(answer.in_order(2), np.array([[1, np.nan], [3, 4]], dtype=np.float32))
    assert answer.model == "m"


@pytest.mark.parametrize(
    ("vectors", "content", "message"),
    [
        ("$.e[*]", {}, "finds nothing"),
        ("$.e[*]", {"e": [[1], [2], [3]]}, "matches more than 2 vectors for 2 inputs"),
        ("$.e[*]", {"e": ["x"]}, "is not a list of numbers"),
        ("$..e", {"e": [1], "f": [{"e": [2]}, {"e": [3]}]}, "matches more than 2"),
        ("$[*][*]", [[1, 2]], "is not a list of numbers"),
    ],
)
def test_generic_answers_that_are_none_are_invalid(vectors, content, message):
    with pytest.raises(failure.CheckError) as caught:
        generic_json.answer(told_by(content), generic_json.compiled(vectors), 2)
    assert caught.value.reason == "ResponseInvalid"
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("protocol", "fields", "content"),
    [
        (OPENAI, {"model": "toy"}, {"data": [{"index": 0, "embedding": [1, 2]}]}),
        (TEI, {}, [[1, 2]]),
        (OIP, {"model": "m", "input": "T"}, {"outputs": [output()]}),
        (GENERIC, PREDICT, {"predictions": [{"embedding": [1, 2]}]}),
    ],
)
async def test_one_vector_for_two_inputs_is_a_wrong_count(protocol, fields, content):
    with toy_server.serving(alter=lambda *_: (200, told_by(content))) as toy:
        answer = await embed(toy, TEXTS[:2], protocol, **fields)
    with pytest.raises(failure.CheckError, match="answered 2 inputs with 1 vectors") as caught:
        answer.in_order(2)
    assert caught.value.reason == "ResponseInvalid"


async def test_one_request_for_each_input_counts_each():
    with toy_server.serving() as toy:
        async with client_of(toy.url, GENERIC, **ENCODE) as client:
            await client.embed(TEXTS)
    assert (client.sent, client.failed) == (3, 0)
    assert [body["query"] for body in toy.bodies] == [one.content for one in TEXTS]
    assert toy.bodies[0]["options"] == {"pool": "mean"}


def test_an_absurd_structure_is_refused_before_it_takes_memory():
    with pytest.raises(failure.CheckError, match="strings, lists and objects"):
        parsing.document(b"[" + b'"",' * 600_000 + b"1]")
