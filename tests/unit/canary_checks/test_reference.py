import contextlib
import dataclasses
import json

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from canary_checks import failure, result
from canary_checks import vocabulary as v
from canary_checks.golden import pack, selection
from canary_checks.parity import distance, numeric, recording, reference, shipped

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
        {"golden": dataclasses.replace(GOLDEN, name="TextV0")},
        {"golden": dataclasses.replace(GOLDEN, version="2")},
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


def recorded(
    numeric_class: v.NumericClass = v.NumericClass.FP32,
    rows: np.ndarray | None = None,
    golden: pack.Pack = GOLDEN,
    provenance: reference.Provenance | None = None,
    **told: object,
) -> bytes:
    chosen = selection.select(golden, v.Modality.TEXT)
    made = reference.Recording(
        items=chosen.ids,
        outputs=outputs()[: len(chosen.ids)] if rows is None else rows,
        refused=np.zeros(len(chosen.ids), dtype=np.bool_),
        **told,
    )
    return reference.new(
        golden, {NAME: made}, revision="r6f2c80", numeric_class=numeric_class, provenance=provenance
    )


def unit(width: int) -> np.ndarray:
    rows = outputs(width)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_a_coarser_class_than_fp32_takes_half_the_space_within_its_limits():
    rows = unit(1024)
    whole, half = recorded(rows=rows), recorded(v.NumericClass.FP16, rows)
    assert len(half) < 0.55 * len(whole)
    read = reference.decode(half).recordings[NAME].outputs
    assert read.dtype == np.float32
    # What research/user-view.md 2.1 measured: 1 - cos 2.4e-8, norm 2.8e-5.
    cosine, norm = distance.cosine(read, rows).max(), distance.norm_deviation(read, rows).max()
    assert cosine < 6e-8
    assert norm < 6e-5
    limits = numeric.TOLERANCES[v.NumericClass.FP16]
    assert cosine < limits.cosine_distance / 100
    assert norm < limits.norm_deviation / 10
    assert norm > numeric.TOLERANCES[v.NumericClass.FP32].norm_deviation  # why fp32 is stored whole


@pytest.mark.parametrize("scale", [1e6, 1e-9])
def test_outputs_that_float16_cannot_hold_are_stored_whole(scale):
    rows = (unit(64) * scale).astype(np.float32)
    read = reference.decode(recorded(v.NumericClass.BF16, rows)).recordings[NAME].outputs
    np.testing.assert_array_equal(read, rows)


def test_what_is_known_of_a_server_is_kept():
    known = reference.Provenance(
        embedding_space="minilm-384",
        model_version="2026.11.2",
        artifact_digest="sha256:" + "a" * 64,
        image_digest="sha256:" + "b" * 64,
        accelerator="NVIDIA L4",
        recorded_by="Run/query-embedder-r6f2c80-1",
    )
    repeat = reference.Repeat(cosine_distance_worst=0.0, norm_deviation_worst=0.0)
    batches = reference.BatchInvariance(batches=(1, 8, 32), cosine_distance_worst=9e-7)
    tokens = tuple(np.arange(n % 5, dtype=np.int32) for n in range(N))
    found = reference.decode(
        recorded(provenance=known, self_repeat=repeat, batch_invariance=batches, tokens=tokens)
    )
    assert {name: getattr(found.header, name) for name in reference.Provenance.model_fields} == (
        known.model_dump() | {"checks": found.header.checks}
    )
    assert found.header.checks
    read = found.recordings[NAME]
    assert (read.self_repeat, read.batch_invariance) == (repeat, batches)
    assert read.tokens is not None
    assert [ids.tolist() for ids in read.tokens] == [ids.tolist() for ids in tokens]
    assert read.digests is not None
    assert bytes(read.digests[0]).hex() == GOLDEN.items[0].digest.removeprefix("sha256:")


def rewritten(content: bytes, tensors: dict[str, np.ndarray], **said: object) -> bytes:
    """Replace tensors, and what the header says of the operation."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["reference"])
    header["operations"][NAME] |= said
    whole = safetensors.numpy.load(content) | tensors
    return safetensors.numpy.save(whole, {"reference": json.dumps(header)})


def nan_in(row: int, value: float = np.nan) -> np.ndarray:
    rows = outputs()
    rows[row] = value
    return rows


@pytest.mark.parametrize(
    ("tensors", "said", "why"),
    [
        ({TENSOR: nan_in(3)}, {}, "item a-004 of embeddings is not finite"),
        ({TENSOR: nan_in(3, np.inf)}, {}, "is not finite"),
        ({TENSOR: nan_in(3, 0.0)}, {}, "all zeros"),
        ({}, {"refused": ["a-001"]}, "outputs of items that the server refused"),
        ({}, {"refused": ["z-999"]}, "refused that are not there"),
        ({}, {"items": ["a-001"] * N}, "twice"),
        ({}, {"noiseCosineDistance": -1.0}, "noiseCosineDistance"),
        ({}, {"noiseCosineDistance": "NaN"}, "noiseCosineDistance"),
        ({}, {"batchInvariance": {"batches": [0], "cosineDistanceWorst": 0.0}}, "batches"),
        ({"embedding/other": outputs()}, {}, "which no operation has"),
        ({f"items/{NAME}/digests": np.zeros((N, 31), np.uint8)}, {}, "SHA-256"),
        ({f"tokens/{NAME}/ids": np.zeros(3, np.int32)}, {}, "one list of ids"),
        (
            {
                f"tokens/{NAME}/ids": np.zeros(3, np.int32),
                f"tokens/{NAME}/offsets": np.zeros(N + 1, np.int64),
            },
            {},
            "one list of ids",
        ),
        ({TENSOR: outputs().astype(np.float64)}, {}, "of a type"),
    ],
)
def test_a_header_that_lies_is_refused(tensors, said, why):
    error = failed(rewritten(recorded(), tensors, **said))
    assert error.reason == "ReferenceUnreadable"
    assert why in error.message


def framed(header: bytes, body: bytes = b"") -> bytes:
    return len(header).to_bytes(8, "little") + header + body


@pytest.mark.parametrize(
    "content",
    [
        (2**63).to_bytes(8, "little") + b"{}",
        framed(b"[" * 100_000),
        framed(b"[]"),
        framed(b'{"__metadata__":{"reference":1}}'),
        framed(b'{"__metadata__":{"reference":"{}"}}'),
        framed(b'{"__metadata__":{"reference":"{}"},"x":{"dtype":["F32"]}}'),
        framed(b'{"x":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4398046511104]}}'),
        framed(b"\xff\xfe"),
    ],
)
def test_a_frame_that_lies_is_refused(content):
    assert failed(content).reason == "ReferenceUnreadable"


def test_offsets_beyond_the_file_are_refused():
    content = recorded()
    length = int.from_bytes(content[:8], "little")
    table = json.loads(content[8 : 8 + length])
    table[TENSOR]["shape"] = [N, 2**40]
    table[TENSOR]["data_offsets"] = [0, N * 2**42]
    assert failed(framed(json.dumps(table).encode(), content[8 + length :])).reason == "ReferenceUnreadable"


def test_a_file_beyond_the_limit_is_refused(monkeypatch):
    monkeypatch.setattr(recording, "LIMIT_BYTES", 1000)
    assert "more than 1000" in failed(recorded()).message


@given(st.data())
def test_a_changed_header_is_unreadable_or_another_reference(data):
    content = recorded()
    length = int.from_bytes(content[:8], "little")
    text = content[8 : 8 + length]
    place = data.draw(st.integers(0, length - 1))
    removed = data.draw(st.integers(0, 20))
    put = data.draw(st.binary(max_size=20))
    changed = framed(text[:place] + put + text[place + removed :], content[8 + length :])
    with contextlib.suppress(failure.CheckError):
        found = reference.decode(changed)
        assert np.isfinite(found.recordings[NAME].outputs).all()


def use(content: bytes, golden: selection.Selection = ALL, **of: object) -> reference.Usable:
    settings = {"numeric_class": v.NumericClass.FP32} | of
    return reference.usable(reference.decode(content), NAME, golden, **settings)


def test_a_reference_of_the_same_kind_is_used_without_a_remark():
    found = use(recorded(), embedding_space="any", accelerator="NVIDIA L4")
    assert (found.remark, found.numeric_class, found.golden) == (None, v.NumericClass.FP32, ALL)


def test_another_numeric_class_is_used_with_the_worse_limits_and_said():
    found = use(recorded(v.NumericClass.FP16, unit(64)))
    assert found.numeric_class is v.NumericClass.FP16
    assert found.remark == "recorded in fp16, the candidate is fp32: the limits are those of fp16"
    coarser = use(recorded(), numeric_class=v.NumericClass.BF16)
    assert coarser.remark == "recorded in fp32, the candidate is bf16: the limits are those of bf16"
    stated = use(recorded(), stated_class=v.NumericClass.INT8)
    assert stated.numeric_class is v.NumericClass.INT8


def test_another_accelerator_is_said():
    known = reference.Provenance(accelerator="NVIDIA L4")
    found = use(recorded(provenance=known), accelerator="NVIDIA H100")
    assert found.remark is not None
    assert "recorded on NVIDIA L4, the candidate runs on NVIDIA H100" in found.remark
    assert use(recorded(provenance=known), accelerator="NVIDIA L4").remark is None


def test_another_embedding_space_is_refused():
    known = reference.Provenance(embedding_space="one")
    assert use(recorded(provenance=known), embedding_space="one").remark is None
    with pytest.raises(failure.CheckError, match="two spaces cannot be compared") as caught:
        use(recorded(provenance=known), embedding_space="other")
    assert caught.value.reason == "ReferenceMismatch"


@pytest.mark.parametrize(
    "told",
    [
        {"noise": (1e-3, 0.0)},
        {"noise": (0.0, 1.0)},
        {"self_repeat": reference.Repeat(cosine_distance_worst=0.1, norm_deviation_worst=0.0)},
    ],
)
def test_a_reference_of_a_server_that_was_not_repeatable_is_refused(told):
    with pytest.raises(failure.CheckError) as caught:
        use(recorded(**told))
    assert caught.value.reason == "ReferenceNotRepeatable"


def version(changed: int, left_out: int = 0) -> pack.Pack:
    """Make another version of the set: some texts changed, some left out."""
    items = [
        dataclasses.replace(item, text=item.text + " indeed") if row < changed else item
        for row, item in enumerate(GOLDEN.items)
    ]
    kept = tuple(items[left_out:])
    return dataclasses.replace(GOLDEN, version="2", digest="sha256:" + "2" * 64, items=kept, relations=())


def test_items_of_another_version_are_compared_only_when_asked_for_and_said():
    content = recorded()
    newer = selection.select(version(changed=10), v.Modality.TEXT)
    with pytest.raises(failure.CheckError, match="record it again"):
        use(content, newer)
    found = use(content, newer, common_items=True)
    assert len(found.golden.items) == N - 10
    assert found.recording.items == found.golden.ids
    np.testing.assert_array_equal(found.recording.outputs, outputs()[10:])
    assert found.remark is not None
    assert found.remark.startswith(f"recorded with version 1 of TextV1: {N - 10} of {N} items are the same")
    with pytest.raises(failure.CheckError, match="fewer than half"):
        use(content, selection.select(version(changed=N - 20), v.Modality.TEXT), common_items=True)


def test_items_of_another_set_are_never_the_same():
    other = dataclasses.replace(version(0), name="Other")
    with pytest.raises(failure.CheckError, match="items of two sets"):
        use(recorded(), selection.select(other, v.Modality.TEXT), common_items=True)


def test_a_recorded_reference_ships_with_its_golden_set(tmp_path):
    space = "CLIP/vit b32"
    exact = recorded(provenance=reference.Provenance(embedding_space=space, accelerator="NVIDIA L4"))
    coarse = recorded(v.NumericClass.BF16, unit(64), provenance=reference.Provenance(embedding_space=space))
    name = shipped.key(space, v.NumericClass.FP32, "NVIDIA L4")
    assert name == "clip-vit-b32-fp32-nvidia-l4"
    (tmp_path / "references" / name).mkdir(parents=True)
    (tmp_path / "references" / name / "outputs.safetensors").write_bytes(exact)
    flat = shipped.key(space, v.NumericClass.BF16, None)
    (tmp_path / f"reference-{flat}.safetensors").write_bytes(coarse)

    def found(numeric_class: v.NumericClass, identity: str = space) -> str | None:
        one = shipped.find(tmp_path, identity, numeric_class)
        return one.digest if one is not None else None

    assert found(v.NumericClass.FP32) == result.digest(exact)
    assert found(v.NumericClass.BF16) == result.digest(coarse)
    assert found(v.NumericClass.FP8) == result.digest(exact)
    assert found(v.NumericClass.FP32, "another space") is None


def test_a_shipped_reference_that_leads_elsewhere_is_refused(tmp_path):
    (tmp_path / "set").mkdir()
    outside = tmp_path / "outside"
    outside.write_bytes(recorded(provenance=reference.Provenance(embedding_space="s")))
    (tmp_path / "set" / "reference-s-fp32-cpu.safetensors").symlink_to(outside)
    with pytest.raises(failure.CheckError, match="leaves the folder"):
        shipped.find(tmp_path / "set", "s", v.NumericClass.FP32)
