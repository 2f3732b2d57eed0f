"""Clients of generators against real servers: what is sent, and what of an answer is believed."""

import asyncio
import base64
import contextlib
import json
from typing import Any

import pydantic
import pytest

from canary_checks import failure, operation
from canary_checks.clients import client, connect, drawing, generation
from tests.unit.canary_checks import golden_sets as sets
from tests.unit.canary_checks import toy_server

PNG = sets.png(1)
WRITTEN = base64.b64encode(PNG).decode()
IMAGES = {"name": "images", "protocol": "OpenAIImages", "model": "toy"}
GENERIC = {
    "name": "images",
    "protocol": "GenericJSON",
    "path": "/draw",
    "body": {
        "prompt": "$input",
        "options": {"seed": "$seed", "steps": "$steps", "size": ["$width", "$height"]},
    },
    "images": "$.artifacts[0].base64",
}


def parsed(fields: dict[str, Any]) -> operation.Operation:
    return operation.Operation.model_validate_json(json.dumps(fields), by_alias=True, by_name=False)


@contextlib.contextmanager
def answering(status: int, body: Any) -> Any:
    """A server that answers every POST alike, and keeps what it was sent."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    seen: list[dict[str, Any]] = []

    def raw(handler: Any) -> None:
        seen.append({"path": handler.path, "type": handler.headers["content-type"]})
        handler.wfile.write(
            b"HTTP/1.1 %d X\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % (status, len(content))
            + content
        )

    with toy_server.serving(raw=raw) as toy:
        yield toy, seen


def draw(fields: dict[str, Any], url: str, **wish: Any) -> bytes:
    async def once() -> bytes:
        async with drawing.connect(parsed(fields), url=url, run="r") as connected:
            return await connected.draw(generation.Wish(**{"prompt": "a sign", "seed": 7} | wish))

    return asyncio.run(once())


@pytest.mark.parametrize("image", [{"b64_json": WRITTEN}, {"url": f"data:image/png;base64,{WRITTEN}"}])
def test_an_image_comes_back_as_it_was_sent(image):
    with answering(200, {"data": [image]}) as (toy, seen):
        assert draw(IMAGES, toy.url) == PNG
    assert seen[0]["path"] == "/v1/images/generations"


def test_what_a_prompt_states_is_sent_and_what_it_leaves_open_is_not():
    with answering(200, {"data": [{"b64_json": WRITTEN}]}) as (toy, _):
        draw(IMAGES, toy.url, width=64, height=96, steps=4)
        draw(IMAGES | {"extraBody": {"negative_prompt": "rain"}}, toy.url)
    asked = [{k: x for k, x in body.items() if k != "path"} for body in toy.bodies]
    common = {"model": "toy", "prompt": "a sign", "n": 1, "response_format": "b64_json", "seed": 7}
    assert asked[0] == common | {"size": "64x96", "num_inference_steps": 4}
    assert asked[1] == common | {"negative_prompt": "rain"}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"data": []}, "no list `data` with one image"),
        ({"data": [{"b64_json": WRITTEN}, {"b64_json": WRITTEN}]}, "no list `data` with one image"),
        ({"data": [{}]}, "neither `b64_json` nor `url`"),
        ({"data": [{"b64_json": "%%%"}]}, "not valid base64"),
        ({"data": [{"b64_json": ""}]}, "no base64 text"),
        ({"data": [{"url": "data:image/png,abc"}]}, "without base64"),
        ({"data": [{"url": "http://elsewhere.invalid/a.png"}]}, "elsewhere.invalid"),
        ({"data": [{"url": "file:///etc/passwd"}]}, "not the server that was asked"),
        ({"error": {"message": "out of memory"}}, "out of memory"),
        (b"<html>", "HTML"),
    ],
)
def test_an_answer_that_is_no_image_is_an_error_with_a_sentence(body, said):
    with answering(200, body) as (toy, _), pytest.raises(failure.CheckError) as caught:
        draw(IMAGES, toy.url)
    assert caught.value.reason == "ResponseInvalid"
    assert said in caught.value.message


def test_a_url_is_followed_to_the_server_itself_and_where_the_manifest_allows_it():
    with toy_server.serving(documents={"/files/1.png": "an image"}) as store:
        host = store.url.removeprefix("http://")
        link = {"data": [{"url": f"{store.url}/files/1.png"}]}
        with answering(200, link) as (toy, _):
            assert draw(IMAGES | {"imageHosts": [host]}, toy.url) == b'"an image"'
            with pytest.raises(failure.CheckError, match="imageHosts"):
                draw(IMAGES, toy.url)
    own = {"/made/2.png": "its own"}
    with answering(200, {"data": [{"url": "/made/2.png"}]}) as (toy, _):
        toy.documents.update(own)
        assert draw(IMAGES, toy.url) == b'"its own"'


def test_a_refusal_is_told_from_a_failure():
    with (
        answering(400, {"error": {"message": "unsafe"}}) as (toy, _),
        pytest.raises(client.Refused, match="unsafe"),
    ):
        draw(IMAGES, toy.url)
    with answering(500, {}) as (toy, _), pytest.raises(failure.CheckError) as caught:
        draw(IMAGES, toy.url)
    assert caught.value.reason == "EndpointError"


def test_a_template_is_filled_with_what_is_known_and_the_rest_is_left_out():
    with answering(200, {"artifacts": [{"base64": WRITTEN}]}) as (toy, _):
        assert draw(GENERIC, toy.url, width=64, height=96) == PNG
    asked = {k: x for k, x in toy.bodies[0].items() if k != "path"}
    assert asked == {"prompt": "a sign", "options": {"seed": 7, "size": [64, 96]}}


def test_a_template_with_an_image_edits():
    fields = GENERIC | {
        "body": {"prompt": "$input", "init": "$image", "mask": "$mask"},
        "imageForm": "DataURI",
    }
    assert parsed(fields).edits
    with answering(200, {"artifacts": [{"base64": WRITTEN}]}) as (toy, _):
        draw(fields, toy.url, image=PNG)
        with pytest.raises(failure.CheckError, match="has no image to go on with"):
            draw(fields, toy.url)
    assert toy.bodies[0]["init"] == f"data:image/png;base64,{WRITTEN}"
    assert "mask" not in toy.bodies[0]


@pytest.mark.parametrize("body", [{}, {"artifacts": [{"base64": 7}]}])
def test_a_template_whose_path_finds_no_image_is_an_error(body):
    with answering(200, body) as (toy, _), pytest.raises(failure.CheckError) as caught:
        draw(GENERIC, toy.url)
    assert caught.value.reason == "ResponseInvalid"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"modality": "Image"}, "its modality is Text"),
        ({"extraBody": {"prompt": "x"}}, "`prompt`, which the request has already"),
        ({"vectors": "$.a"}, "vectors is a field of the protocol GenericJSON"),
        ({"imageHosts": ["http://a"]}, "imageHosts.0"),
    ],
)
def test_an_operation_that_cannot_draw_so_is_refused(changes, said):
    with pytest.raises(pydantic.ValidationError) as caught:
        parsed(IMAGES | changes)
    assert said in str(caught.value)


@pytest.mark.parametrize("fields", [IMAGES, GENERIC])
def test_what_draws_is_asked_for_no_vectors(fields):
    with pytest.raises(failure.CheckError, match="only a fidelity check asks it"):
        connect.connect(parsed(fields), url="http://127.0.0.1:9", run="r")


def test_only_what_draws_goes_on_after_another_operation():
    with pytest.raises(pydantic.ValidationError, match="only an operation that draws"):
        parsed(
            {key: one for key, one in GENERIC.items() if key != "images"} | {"vectors": "$.v", "after": "x"}
        )
    with pytest.raises(pydantic.ValidationError, match="exclude each other"):
        parsed(GENERIC | {"vectors": "$.v"})
