"""The clients against the examples of the specifications, word for word; see specifications/README.md."""

import json
import pathlib
import re
import struct
from typing import Any

import numpy as np
import pytest

from canary_checks import failure, inputs, operation
from canary_checks import vocabulary as v
from canary_checks.clients import client as clients
from canary_checks.clients import connect, open_inference_v2, text_embeddings_inference, transport
from tests.unit.canary_checks import toy_server

FOLDER = pathlib.Path(__file__).with_name("specifications")
TEI = json.loads((FOLDER / "tei.json").read_text())


def example(name: str) -> bytes:
    return (FOLDER / name).read_bytes()


def client_of(toy: toy_server.ToyServer, protocol: v.Protocol, **fields: Any) -> clients.EmbeddingClient:
    asked = operation.Operation(name="embed", protocol=protocol, **fields)
    limits = transport.Limits(patience_seconds=0)
    return connect.connect(asked, url=toy.url, run="run-1", limits=limits)


def test_every_example_is_named_by_its_source():
    readme = (FOLDER / "README.md").read_text()
    files = {path.name for path in FOLDER.iterdir()} - {"README.md"}
    assert {name for name in files if f"`{name}`" not in readme} == set()
    rows = [line for line in readme.splitlines() if line.startswith("| `")]
    assert all(re.search(r"\| [\w.-]+/[\w.-]+ \| [0-9a-f]{40} \| `[\w/.-]+` \|", row) for row in rows)


# --- Text Embeddings Inference -----------------------------------------------------------------------


def test_the_embeddings_of_the_specification():
    (row,) = text_embeddings_inference.answer(json.dumps(TEI["EmbedResponse"]).encode()).in_order(1)
    assert row.tolist() == [0, 1, 2]


def test_the_tokens_of_the_specification():
    assert text_embeddings_inference.tokens(json.dumps(TEI["TokenizeResponse"]).encode(), 1) == [(0,)]


async def test_requests_hold_what_the_specification_names_and_nothing_else():
    fields = {"truncate": True, "normalize": False, "prompt_name": "query"}
    with toy_server.serving() as toy:
        async with client_of(toy, v.Protocol.TEXT_EMBEDDINGS_INFERENCE, **fields) as client:
            await client.embed([inputs.Text("What is Deep Learning?")])
            await client.tokenize(["What is Deep Learning?"])
    embed, tokenize = ({key for key in body if key != "path"} for body in toy.bodies)
    assert set(TEI["EmbedRequest"]["required"]) < embed < set(TEI["EmbedRequest"]["properties"])
    assert set(TEI["TokenizeRequest"]["required"]) < tokenize < set(TEI["TokenizeRequest"]["properties"])


async def test_the_identity_of_the_specification():
    with toy_server.serving(documents={"/info": TEI["Info"]}) as toy:
        async with client_of(toy, v.Protocol.TEXT_EMBEDDINGS_INFERENCE) as client:
            assert await client.model() == "thenlper/gte-base"
            told = await client.describe()
    assert told["info.model_sha"] == "fca14538aa9956a46526bd1d0d11d69e19b5a101"
    assert told["info.model_dtype"] == "float16"
    assert told["info.max_input_length"] == "512"
    assert told["info.model_type.embedding.pooling"] == "cls"
    assert len(told) == len(TEI["Info"])


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (413, "RequestRefused"),
        (422, "RequestRefused"),
        (424, "EndpointError"),
        (429, "EndpointOverloaded"),
    ],
)
async def test_the_errors_of_the_specification(status, reason):
    said = TEI["errors"][str(status)]
    with toy_server.serving(alter=lambda *_: (status, json.dumps(said).encode())) as toy:
        async with client_of(toy, v.Protocol.TEXT_EMBEDDINGS_INFERENCE) as client:
            with pytest.raises(failure.CheckError) as caught:
                await client.embed([inputs.Text("What is Deep Learning?")])
    assert caught.value.reason == reason
    assert str(status) in caught.value.message
    assert status == 429 or said["error"] in caught.value.message


# --- Open Inference Protocol -------------------------------------------------------------------------


def test_the_response_of_the_specification_lacks_a_comma():
    with pytest.raises(failure.CheckError, match="not JSON"):
        open_inference_v2.answer(example("oip_response.json"))
    mended = example("oip_response.json").replace(b'"42"', b'"42",')
    rows = open_inference_v2.answer(mended, output="output0").in_order(3)
    np.testing.assert_array_equal(rows, np.array([[1.0, 1.1], [2.0, 2.1], [3.0, 3.1]], dtype=np.float32))


@pytest.mark.parametrize(
    ("binary", "name"), [(False, "oip_request.json"), (True, "triton_binary_request.json")]
)
async def test_requests_are_built_like_those_of_the_specifications(binary, name):
    spoken = json.loads(example(name))
    fields = {"model": "mymodel-fp32", "input": "input0", "output": "output0", "binary": binary}
    with toy_server.serving() as toy:
        async with client_of(toy, v.Protocol.OPEN_INFERENCE_V2, **fields) as client:
            await client.embed([inputs.Text("a cat")])
    (sent,) = toy.bodies
    assert sent.pop("path") == "/v2/models/mymodel-fp32/infer"
    assert sent.keys() <= spoken.keys()
    assert sent["outputs"] == spoken["outputs"]
    (tensor,) = sent["inputs"]
    # MLServer's `content_type` is a parameter, and the specification leaves those open.
    assert tensor.keys() - {"parameters"} == spoken["inputs"][0].keys() - {"parameters"}
    if binary:
        assert tensor["parameters"].keys() == spoken["inputs"][0]["parameters"].keys()
        assert toy.headers[0]["content-type"] == "application/octet-stream"
        beyond = int(toy.headers[0]["content-length"]) - int(
            toy.headers[0]["inference-header-content-length"]
        )
        # "a 4-byte unsigned integer giving the length followed by the actual bytes"
        assert beyond == tensor["parameters"]["binary_data_size"] == 4 + len("a cat")


async def test_without_a_name_all_outputs_are_asked_for_in_binary_as_the_extension_says():
    mended = example("kserve_binary_output_request.json").replace(b"]],", b"]]")
    with toy_server.serving() as toy:
        fields = {"model": "mymodel-fp32", "input": "input_tensor", "binary": True}
        async with client_of(toy, v.Protocol.OPEN_INFERENCE_V2, **fields) as client:
            await client.embed([inputs.Text("a cat")])
    assert toy.bodies[0]["parameters"] == json.loads(mended)["parameters"]


def test_the_binary_response_of_triton():
    head = example("triton_binary_response.json")
    numbers = [1.0, 1.1, 2.0, 2.1, 3.0, 3.1]
    rows = open_inference_v2.answer(
        head + struct.pack("<6f", *numbers), header_length=str(len(head)), output="output0"
    ).in_order(3)
    np.testing.assert_array_equal(np.ravel(rows), np.array(numbers, dtype=np.float32))


def test_the_binary_response_of_kserve_gives_six_fp16_numbers_sixteen_bytes():
    head = example("kserve_binary_response.json")
    raw = np.arange(6, dtype="<f2").tobytes()
    with pytest.raises(failure.CheckError, match=r"16 bytes of binary data, and 6 numbers of FP16 are 12"):
        open_inference_v2.answer(head + raw + bytes(4), header_length=str(len(head)), output="output0")
    mended = head.replace(b'"binary_data_size" : 16', b'"binary_data_size" : 12')
    for output, wanted in [
        ("output0", [[0, 1], [2, 3], [4, 5]]),
        ("output1", [[1.203, 5.403], [3.434, 34.234]]),
    ]:
        rows = open_inference_v2.answer(mended + raw, header_length=str(len(mended)), output=output)
        np.testing.assert_array_equal(rows.vectors, np.array(wanted, dtype=np.float32))


@pytest.mark.parametrize("datatype", list(operation.Datatype))
def test_binary_numbers_have_the_sizes_of_the_specification(datatype):
    table = example("data_types.md").decode()
    size = int(re.search(rf"\| {datatype} +\| ([0-9]+)", table)[1])
    output = {
        "name": "o",
        "shape": [1, 2],
        "datatype": datatype,
        "parameters": {"binary_data_size": 2 * size},
    }
    head = json.dumps({"outputs": [output]}).encode()
    # 1.0 and -2.0: the same sign, exponent and fraction in each format, of IEEE 754 and of bfloat16.
    raw = {
        operation.Datatype.FP16: "003c00c0",
        operation.Datatype.BF16: "803f00c0",
        operation.Datatype.FP32: "0000803f000000c0",
        operation.Datatype.FP64: "000000000000f03f00000000000000c0",
    }[datatype]
    body = head + bytes.fromhex(raw)
    (row,) = open_inference_v2.answer(body, header_length=str(len(head)), datatype=datatype).in_order(1)
    assert row.tolist() == [1, -2]
