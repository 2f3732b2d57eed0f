import contextlib
import json

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from canary_checks import failure, result
from canary_checks import vocabulary as v
from canary_checks.golden import pack, selection
from canary_checks.parity import reference

GOLDEN = pack.builtin("TextV1")
ALL = selection.select(GOLDEN, v.Modality.TEXT)
N = len(GOLDEN.items)
NAME = "embeddings"
TENSOR = f"embedding/{NAME}"


def outputs(width: int = 8) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((N, width)).astype(np.float32)


def failed(content: bytes) -> failure.CheckError:
    with pytest.raises(failure.CheckError) as caught:
        reference.decode(content)
    return caught.value


def written(
    rows: np.ndarray | None = None,
    refused: np.ndarray | None = None,
    noise: tuple[float, float] | None = (1e-7, 2e-6),
    golden: pack.Pack = GOLDEN,
    items: tuple[str, ...] = ALL.ids,
) -> bytes:
    made = reference.Recording(
        items=items,
        outputs=outputs() if rows is None else rows,
        refused=np.zeros(N, dtype=np.bool_) if refused is None else refused,
        noise=noise,
    )
    return reference.new(golden, {NAME: made}, revision="r6f2c80", numeric_class=v.NumericClass.FP32)


def test_what_is_written_is_read_back_bit_for_bit():
    refused = np.arange(N) >= N - 2
    rows = outputs()
    rows[refused] = np.nan
    content = written(rows, refused, None)
    found = reference.decode(content)
    recording = found.recordings[NAME]
    np.testing.assert_array_equal(recording.outputs, rows)
    assert found.header.revision == "r6f2c80"
    assert recording.items == ALL.ids
    assert recording.refused.tolist() == refused.tolist()
    assert recording.noise is None
    assert found.digest == result.digest(content)
    assert reference.decode(written()).recordings[NAME].noise == (1e-7, 2e-6)


@given(st.binary(max_size=200))
def test_rubbish_is_unreadable_and_never_a_crash(content):
    assert failed(content).reason == "ReferenceUnreadable"


@given(st.integers(0, 2000), st.integers(0, 255))
def test_a_damaged_file_is_unreadable_or_has_another_digest(place, byte):
    whole = written()
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
        ({TENSOR: outputs().astype(np.int32)}, {}),
        ({TENSOR: outputs()[0]}, {}),
        ({TENSOR: outputs()[:-1]}, {}),
        ({TENSOR: outputs()}, {"revision": ""}),
        ({TENSOR: outputs()}, {"surprise": "1"}),
        ({TENSOR: outputs()}, {"operations": {}}),
        ({TENSOR: outputs()}, {"operations": {NAME: {"items": [1]}}}),
        ({TENSOR: outputs()}, {"schema": "golden.modelrelease.dev/reference/v2"}),
    ],
)
def test_a_file_that_is_no_reference_is_unreadable(tensors, changes):
    content = written()
    length = int.from_bytes(content[:8], "little")
    said = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["reference"])
    lying = safetensors.numpy.save(tensors, {"reference": json.dumps(said | changes)})
    assert failed(lying).reason == "ReferenceUnreadable"


def test_a_reference_needs_its_header():
    assert failed(safetensors.numpy.save({TENSOR: outputs()})).reason == "ReferenceUnreadable"


@pytest.mark.parametrize(
    "changes",
    [
        {"golden": GOLDEN.model_copy(update={"name": "TextV0"})},
        {"golden": GOLDEN.model_copy(update={"version": "2"})},
        {"items": tuple(reversed(ALL.ids))},
    ],
)
def test_a_reference_of_other_items_is_never_adjusted(changes):
    found = reference.decode(written(**changes))
    with pytest.raises(failure.CheckError) as caught:
        reference.recording_of(found, NAME, ALL)
    assert caught.value.reason == "ReferenceMismatch"
    assert caught.value.verdict == "Error"


def test_a_reference_has_its_own_operations_only():
    found = reference.decode(written())
    assert reference.recording_of(found, NAME, ALL).items == ALL.ids
    with pytest.raises(failure.CheckError, match="no operation image") as caught:
        reference.recording_of(found, "image", ALL)
    assert caught.value.reason == "ReferenceMismatch"


def test_a_file_must_be_the_one_that_was_asked_for(tmp_path):
    content = written()
    path = tmp_path / "stable.safetensors"
    path.write_bytes(content)
    assert reference.load(str(path), result.digest(content)).recordings[NAME].outputs.shape == (N, 8)
    with pytest.raises(failure.CheckError, match="has the digest") as caught:
        reference.load(str(path), result.digest(b"other"))
    assert caught.value.reason == "ReferenceMismatch"
    with pytest.raises(failure.CheckError) as missing:
        reference.load(str(tmp_path / "none"), None)
    assert missing.value.reason == "ReferenceMissing"


def test_rows_without_items_are_not_written():
    with pytest.raises(ValueError, match="items"):
        written(outputs()[:-1])
