"""The generator for tests on a cluster: it draws by a real pipeline, and tells what it draws with."""

import base64
import io

import numpy as np
import PIL.Image
import pytest
import safetensors.torch
import torch
from fastapi import testclient

from hack.images.diffuser import server

PROMPT = "three green apples on a wooden table"
ASKED = {"prompt": PROMPT, "seed": 3, "num_inference_steps": 3}
TOKEN = "a-token-of-tests"


@pytest.fixture(scope="module")
def folder(folders, tmp_path_factory):
    """A pipeline with an adapter beside it."""
    found = folders["stable-diffusion"]
    plain = server.Generator(found)
    name, weight = next(iter(plain.denoiser.named_parameters()))
    delta = {name: torch.full_like(weight, 0.05)}
    safetensors.torch.save_file(delta, found / "style.safetensors")
    yield found
    (found / "style.safetensors").unlink()


def client(generator: server.Generator) -> testclient.TestClient:
    return testclient.TestClient(server.create_app(generator))


def drawn(generator: server.Generator, **more) -> np.ndarray:
    answer = client(generator).post("/v1/images/generations", json=ASKED | more)
    assert answer.status_code == 200, answer.text
    (entry,) = answer.json()["data"]
    return np.asarray(PIL.Image.open(io.BytesIO(base64.b64decode(entry["b64_json"]))), dtype=np.int16)


def test_the_same_request_gives_the_same_image_of_the_size_that_was_asked(folder):
    generator = server.Generator(folder)
    assert drawn(generator).shape == (32, 32, 3)
    first, again = drawn(generator, size="64x48"), drawn(generator, size="64x48")
    assert first.shape == (48, 64, 3)
    assert np.array_equal(first, again)


def test_each_setting_changes_what_is_drawn_and_a_half_decoder_hardly(folder):
    plain = drawn(server.Generator(folder))
    for changed in ({"scheduler": "DDIMScheduler"}, {"guidance": 1.0}, {"adapter": "style.safetensors"}):
        assert np.abs(drawn(server.Generator(folder, **changed)) - plain).max() > 8, changed
    half = drawn(server.Generator(folder, vae_dtype="float16"))
    assert 0 < np.abs(half - plain).max() <= 8


@pytest.mark.parametrize(
    "more",
    [{"prompt": None, "seed": "x"}, {"num_inference_steps": 0}, {"size": "9000x64"}, {"size": "large"}],
    ids=str,
)
def test_what_cannot_be_drawn_is_refused_in_one_sentence(folder, more):
    answer = client(server.Generator(folder)).post("/v1/images/generations", json=ASKED | more)
    assert answer.status_code == 400
    assert answer.json()["detail"]


def test_it_tells_what_it_draws_with(folder, monkeypatch):
    monkeypatch.setenv("MODELRELEASE_PROBE_TOKEN", TOKEN)
    asking = client(server.Generator(folder, scheduler="DDIMScheduler", steps=4, adapter="style.safetensors"))
    asking.headers["authorization"] = f"Bearer {TOKEN}"
    told = asking.get("/probe/v1/info").json()
    assert told["generation"]["scheduler"]["class"] == "DDIMScheduler"
    assert told["generation"]["steps"] == 4
    assert set(told["generation"]["adapters"]) == {"style"}
    body = {"items": [{"id": "a", "text": PROMPT}], "stages": told["stages"]}
    (item,) = asking.post("/probe/v1/trace", json=body).json()["items"]
    assert len(item["stages"]["text.tokens"]["ids"]) == 77
