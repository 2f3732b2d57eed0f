import contextlib
import json

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from canary_checks import failure, result
from canary_checks import vocabulary as v
from canary_checks.golden import pack
from canary_checks.parity import reference

GOLDEN = pack.builtin("TextV1")
N = len(GOLDEN.items)


def header(**changes: object) -> reference.Header:
    made = reference.new_header(
        GOLDEN,
        revision="r6f2c80",
        numeric_class=v.NumericClass.BF16,
        refused=np.zeros(N, dtype=np.bool_),
        noise=(1e-7, 2e-6),
    )
    return made.model_copy(update=changes)


def outputs(width: int = 8) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((N, width)).astype(np.float32)


def failed(content: bytes) -> failure.CheckError:
    with pytest.raises(failure.CheckError) as caught:
        reference.decode(content)
    return caught.value


def test_what_is_written_is_read_back_bit_for_bit():
    refused = np.arange(N) >= N - 2
    rows = outputs()
    rows[refused] = np.nan
    said = reference.new_header(
        GOLDEN, revision="r1", numeric_class=v.NumericClass.FP32, refused=refused, noise=None
    )
    content = reference.encode(said, rows)
    found = reference.decode(content)
    np.testing.assert_array_equal(found.outputs, rows)
    assert found.header == said
    assert found.refused.tolist() == refused.tolist()
    assert found.digest == result.digest(content)
    assert reference.decode(reference.encode(header(), outputs())).header.noise_cosine_distance == 1e-7


@given(st.binary(max_size=200))
def test_rubbish_is_unreadable_and_never_a_crash(content):
    assert failed(content).reason == "ReferenceUnreadable"


@given(st.integers(0, 2000), st.integers(0, 255))
def test_a_damaged_file_is_unreadable_or_has_another_digest(place, byte):
    whole = reference.encode(header(), outputs())
    damaged = bytearray(whole)
    damaged[place] = byte
    found = None
    with contextlib.suppress(failure.CheckError):
        found = reference.decode(bytes(damaged))
    assert found is None or (found.digest == result.digest(whole)) == (bytes(damaged) == whole)


@pytest.mark.parametrize(
    ("tensors", "changes"),
    [
        ({"vectors": outputs()}, {}),
        ({"outputs": outputs().astype(np.float64)}, {}),
        ({"outputs": outputs()[0]}, {}),
        ({"outputs": outputs()[:-1]}, {}),
        ({"outputs": outputs()}, {"revision": ""}),
        ({"outputs": outputs()}, {"surprise": "1"}),
        ({"outputs": outputs()}, {"items": "[1]"}),
        ({"outputs": outputs()}, {"items": "not JSON"}),
        ({"outputs": outputs()}, {"schema": "golden.modelrelease.dev/reference/v2"}),
    ],
)
def test_a_file_that_is_no_reference_is_unreadable(tensors, changes):
    content = reference.encode(header(), outputs())
    length = int.from_bytes(content[:8], "little")
    metadata = json.loads(content[8 : 8 + length])["__metadata__"]
    assert failed(safetensors.numpy.save(tensors, metadata | changes)).reason == "ReferenceUnreadable"


def test_a_reference_needs_its_header():
    assert failed(safetensors.numpy.save({"outputs": outputs()})).reason == "ReferenceUnreadable"


@pytest.mark.parametrize(
    "changes",
    [
        {"pack": "TextV0"},
        {"pack_version": "2"},
        {"pack_digest": "sha256:" + "1" * 64},
        {"items": tuple(reversed(GOLDEN.ids))},
    ],
)
def test_a_reference_of_other_items_is_never_adjusted(changes):
    found = reference.decode(reference.encode(header(**changes), outputs()))
    with pytest.raises(failure.CheckError) as caught:
        reference.require_same_items(found, GOLDEN)
    assert caught.value.reason == "ReferenceMismatch"
    assert caught.value.verdict == "Error"
    reference.require_same_items(reference.decode(reference.encode(header(), outputs())), GOLDEN)


def test_a_file_must_be_the_one_that_was_asked_for(tmp_path):
    content = reference.encode(header(), outputs())
    path = tmp_path / "stable.safetensors"
    path.write_bytes(content)
    assert reference.load(str(path), result.digest(content)).outputs.shape == (N, 8)
    with pytest.raises(failure.CheckError, match="has the digest") as caught:
        reference.load(str(path), result.digest(b"other"))
    assert caught.value.reason == "ReferenceMismatch"
    with pytest.raises(failure.CheckError) as missing:
        reference.load(str(tmp_path / "none"), None)
    assert missing.value.reason == "ReferenceMissing"


def test_rows_without_items_are_not_written():
    with pytest.raises(ValueError, match="items"):
        reference.encode(header(), outputs()[:-1])
