"""A generator behind the Open Inference Protocol: what is sent as which tensor, and what is an image."""

import asyncio
import base64
import io
import json
import struct
from typing import Any

import hypothesis
import numpy as np
import PIL.Image
import pytest
from hypothesis import strategies as st

from canary_checks import failure, operation
from canary_checks.clients import client, drawing, generation
from canary_checks.clients import open_inference_images as oip
from tests.unit.canary_checks import golden_sets as sets
from tests.unit.canary_checks import toy_server

PATH = "/v2/models/sd/infer"
TRITON = {
    "inputs": [
        {"name": "prompt", "datatype": "BYTES", "shape": [-1, 1]},
        {"name": "NEGATIVE_PROMPT", "datatype": "BYTES", "shape": [-1, 1]},
        {"name": "STEPS", "datatype": "INT32", "shape": [-1, 1]},
        {"name": "GUIDANCE_SCALE", "datatype": "FP32", "shape": [-1, 1]},
        {"name": "SEED", "datatype": "INT64", "shape": [-1]},
        {"name": "init_image", "datatype": "BYTES", "shape": [1]},
    ]
}
PIXELS = np.random.default_rng(1).integers(0, 256, (4, 5, 3), dtype=np.uint8)
PNG = sets.png(3)


def parsed(**fields: Any) -> operation.Operation:
    said = {"name": "images", "protocol": "OpenInferenceV2Images", "model": "sd"} | fields
    return operation.Operation.model_validate_json(json.dumps(said), by_alias=True, by_name=False)


def tensor(datatype: str, shape: list[int], data: Any) -> bytes:
    return json.dumps(
        {"outputs": [{"name": "image", "datatype": datatype, "shape": shape, "data": data}]}
    ).encode()


def behind(datatype: str, shape: list[int], raw: bytes) -> tuple[bytes, str]:
    said = {
        "name": "image",
        "datatype": datatype,
        "shape": shape,
        "parameters": {"binary_data_size": len(raw)},
    }
    head = json.dumps({"outputs": [said]}).encode()
    return head + raw, str(len(head))


def asked(
    documents: dict[str, Any], fields: dict[str, Any], **wish: Any
) -> tuple[bytes, dict[str, Any], dict[str, str]]:
    """Draw once; return the image, the JSON that was sent, and its headers."""
    content = tensor("UINT8", [1, *PIXELS.shape], PIXELS.ravel().tolist())

    def raw(handler: Any) -> None:
        head = b"HTTP/1.1 200 X\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
        handler.wfile.write(head % len(content) + content)

    async def once(url: str) -> bytes:
        async with drawing.connect(parsed(**fields), url=url, run="r") as connected:
            return await connected.draw(generation.Wish(**{"prompt": "a sign", "seed": 7} | wish))

    with toy_server.serving(raw=raw, documents=documents) as toy:
        found = asyncio.run(once(toy.url))
    return found, toy.bodies[0], toy.headers[0]


def shown(content: bytes) -> np.ndarray:
    return np.asarray(PIL.Image.open(io.BytesIO(content)))


def test_what_the_model_lists_is_a_tensor_and_the_rest_a_parameter():
    metadata = {PATH.removesuffix("/infer"): TRITON}
    found, body, _ = asked(metadata, {}, width=512, height=256, steps=20, guidance=7.5)
    assert (shown(found) == PIXELS).all()
    sent = {one["name"]: one for one in body["inputs"]}
    assert body["path"] == PATH
    assert sent["prompt"] == {
        "name": "prompt",
        "shape": [1, 1],
        "datatype": "BYTES",
        "parameters": {"content_type": "str"},
        "data": ["a sign"],
    }
    assert {
        name: (one["datatype"], one["shape"], one["data"]) for name, one in sent.items() if name.isupper()
    } == {
        "STEPS": ("INT32", [1, 1], [20]),
        "GUIDANCE_SCALE": ("FP32", [1, 1], [7.5]),
        "SEED": ("INT64", [1], [7]),
    }
    assert body["parameters"] == {"width": 512, "height": 256}


def test_a_server_that_tells_nothing_gets_the_prompt_where_the_manifest_says():
    _, body, _ = asked({}, {"input": "PROMPT", "output": "image"}, steps=4)
    assert [one["name"] for one in body["inputs"]] == ["PROMPT"]
    assert body["parameters"] == {"seed": 7, "num_inference_steps": 4}
    assert body["outputs"] == [{"name": "image"}]
    with pytest.raises(failure.CheckError, match="has no metadata, so the manifest must say") as caught:
        asked({}, {})
    assert caught.value.reason == "ModelUnknown"


def test_texts_and_images_are_bytes_behind_the_json_where_that_is_asked_for():
    metadata = {PATH.removesuffix("/infer"): TRITON}
    _, body, headers = asked(metadata, {"binary": True, "after": "draft"}, image=PNG)
    sizes = {
        one["name"]: one["parameters"]["binary_data_size"] for one in body["inputs"] if "parameters" in one
    }
    assert sizes == {"prompt": 4 + len("a sign"), "init_image": 4 + len(PNG)}
    assert body["parameters"] == {"binary_data_output": True}
    assert int(headers["content-length"]) == int(headers["inference-header-content-length"]) + sum(
        sizes.values()
    )


@pytest.mark.parametrize(
    ("inputs", "fields", "wish", "said"),
    [
        (TRITON["inputs"], {"after": "draft"}, {}, "has no image to go on with"),
        (
            TRITON["inputs"][:1],
            {"after": "draft"},
            {"image": PNG},
            "takes no image: its metadata list prompt",
        ),
        (TRITON["inputs"][2:5], {}, {}, "lists 0 inputs of text"),
        ([], {"input": "p", "after": "draft"}, {}, "has no image to go on with"),
    ],
)
def test_what_cannot_be_asked_is_said(inputs, fields, wish, said):
    with pytest.raises(failure.CheckError, match=said):
        asked({PATH.removesuffix("/infer"): {"inputs": inputs}}, fields, **wish)


FLOATS = (PIXELS / 255).astype(np.float32)


@pytest.mark.parametrize(
    ("body", "length"),
    [
        (tensor("UINT8", [4, 5, 3], PIXELS.tolist()), None),
        (tensor("FP32", [1, 4, 5, 3], FLOATS.ravel().tolist()), None),
        (tensor("FP32", [1, 3, 4, 5], FLOATS.transpose(2, 0, 1)[None].tolist()), None),
        behind("UINT8", [3, 4, 5], PIXELS.transpose(2, 0, 1).tobytes()),
        behind("FP32", [4, 5, 3], FLOATS.tobytes()),
        behind("FP16", [1, 4, 5, 3], FLOATS.astype(np.float16).tobytes()),
        behind("FP64", [4, 5, 3], FLOATS.astype(np.float64).tobytes()),
    ],
)
def test_pixels_of_every_layout_become_the_same_image(body, length):
    apart = np.abs(shown(oip.answer(body, header_length=length)).astype(int) - PIXELS)
    assert apart.max() == 0


def test_an_encoded_image_comes_back_as_it_was():
    assert oip.answer(tensor("BYTES", [1, 1], [[base64.b64encode(PNG).decode()]])) == PNG
    body, length = behind("BYTES", [1], struct.pack("<I", len(PNG)) + PNG)
    assert oip.answer(body, header_length=length) == PNG


def test_grey_and_transparent_pixels_stay_what_they_are():
    grey = tensor("UINT8", [2, 2, 1], [0, 80, 160, 255])
    assert shown(oip.answer(grey)).tolist() == [[0, 80], [160, 255]]
    assert shown(oip.answer(tensor("UINT8", [1, 2, 4], list(range(8))))).shape == (1, 2, 4)


WRONG = [
    (b"<html>", None, "HTML"),
    (b'{"error": "CUDA out of memory"}', None, "out of memory"),
    (tensor("INT64", [2, 2, 3], [0] * 12), None, "holds no image"),
    (tensor("UINT8", [2, 2, 3], [0] * 11), None, "11 numbers"),
    (tensor("UINT8", [2, 2, 3], [300] * 12), None, "0 to 255 is expected"),
    (tensor("FP32", [2, 2, 3], [-1.0] * 12), None, "go from -1 to 0, and 0 to 1 is expected"),
    (tensor("FP32", [2, 2, 3], [None] * 12), None, "nan"),
    (tensor("UINT8", [2, 2, 3], ["1"] * 12), None, "not a number"),
    (tensor("UINT8", [2, 2, 3], [[1, 2], 3]), None, "nested unevenly"),
    (tensor("UINT8", [2, 2, 3], []), None, "not a list of numbers"),
    (tensor("UINT8", [2, 4, 5, 3], [0] * 120), None, "one image has"),
    (tensor("UINT8", [7, 9], [0] * 63), None, "one image has"),
    (tensor("UINT8", [5000, 5000, 3], [0]), None, "more than 16777216"),
    (tensor("UINT8", [-1, 4, 3], [0]), None, "not a list of sizes"),
    (tensor("BYTES", [2], ["YQ==", "YQ=="]), None, "2 elements"),
    (tensor("BYTES", [1], [""]), None, "no base64 text"),
    (tensor("BYTES", [1], ["%%%"]), None, "not valid base64"),
    (*behind("BYTES", [1], b"\x09\0\0\0abc"), "one element with its length"),
    (*behind("BYTES", [1], b"\0\0\0\0"), "one element with its length"),
    (*behind("FP32", [2, 2, 3], b"abc"), "no whole FP32"),
    (*behind("UINT8", [2, 2, 3], bytes(11)), "11 numbers"),
    (b'{"outputs": [' + b"0," * ((1 << 22) + 1) + b"0]}", None, "binary: true"),
]


@pytest.mark.parametrize(("body", "length", "said"), WRONG, ids=[one[2] for one in WRONG])
def test_an_answer_that_is_no_image_is_an_error_with_a_sentence(body, length, said):
    with pytest.raises(failure.CheckError) as caught:
        oip.answer(body, header_length=length)
    assert caught.value.reason == "ResponseInvalid"
    assert said in caught.value.message


def test_a_refusal_of_the_model_is_told_from_a_failure():
    def raw(handler: Any) -> None:
        handler.wfile.write(b"HTTP/1.1 400 X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")

    async def once(url: str) -> bytes:
        async with drawing.connect(parsed(input="p"), url=url, run="r") as connected:
            return await connected.draw(generation.Wish(prompt="a sign", seed=7))

    with toy_server.serving(raw=raw) as toy, pytest.raises(client.Refused):
        asyncio.run(once(toy.url))


WORDS = st.sampled_from(["outputs", "name", "image", "data", "shape", "datatype", "BYTES", "UINT8", "FP32"])
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-2, 300), st.floats(), WORDS, st.text(max_size=4))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=16,
)
OUTPUTS = st.fixed_dictionaries(
    {
        "name": st.one_of(st.just("image"), VALUES),
        "shape": st.one_of(st.lists(st.integers(-1, 4), max_size=5), VALUES),
        "datatype": st.one_of(st.sampled_from(["BYTES", "UINT8", "FP16", "FP32", "FP64"]), VALUES),
    },
    optional={
        "data": st.one_of(st.lists(SCALARS, max_size=12), VALUES),
        "parameters": st.one_of(st.fixed_dictionaries({"binary_data_size": st.integers(-1, 24)}), VALUES),
    },
)


@hypothesis.given(
    st.one_of(VALUES, st.fixed_dictionaries({"outputs": st.lists(st.one_of(OUTPUTS, VALUES), max_size=2)})),
    st.binary(max_size=24),
    st.sampled_from([None, "image"]),
)
@hypothesis.settings(max_examples=300)
def test_whatever_a_server_answers_becomes_an_image_or_a_sentence(value, rest, output):
    head = json.dumps(value).encode()
    found, wrong = b"image", None
    try:
        found = oip.answer(head + rest, header_length=str(len(head)), output=output)
    except failure.CheckError as error:
        wrong = error
    assert found
    if wrong is not None:
        assert wrong.reason == "ResponseInvalid"
        assert wrong.message
        assert wrong.message.isprintable()
