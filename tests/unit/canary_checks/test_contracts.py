"""The preprocessing contract as named fields: read from files, told by a process, and compared by name."""

import json
import pathlib

import pytest

from canary_checks import failure
from canary_checks import vocabulary as v
from canary_checks.contracts import difference, fields, folder, process
from canary_checks.trace import client

TOKENIZER = {
    "model": {"type": "WordPiece", "vocab": {"[UNK]": 0, "cat": 2, "a": 1}},
    "normalizer": {"type": "BertNormalizer", "lowercase": True, "strip_accents": None},
    "pre_tokenizer": {"type": "BertPreTokenizer"},
    "post_processor": {"type": "TemplateProcessing", "single": ["[CLS]", "A"]},
    "added_tokens": [{"id": 0, "content": "[UNK]"}],
    "truncation": {"max_length": 128, "direction": "Right"},
}
FILES = {
    "tokenizer.json": TOKENIZER,
    "tokenizer_config.json": {"model_max_length": 512, "do_lower_case": True, "padding_side": "right"},
    "special_tokens_map.json": {"unk_token": {"content": "[UNK]"}, "cls_token": "[CLS]"},
    "config.json": {"torch_dtype": "float16", "max_position_embeddings": 514},
    "sentence_bert_config.json": {"max_seq_length": 256, "do_lower_case": False},
    "1_Pooling/config.json": {"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True},
    "modules.json": [{"type": "x.Transformer"}, {"type": "x.Pooling"}, {"type": "x.Normalize"}],
    "config_sentence_transformers.json": {"prompts": {"query": "query: "}, "default_prompt_name": "query"},
    "preprocessor_config.json": {
        "do_resize": True,
        "size": {"shortest_edge": 224},
        "resample": 3,
        "do_center_crop": True,
        "crop_size": {"height": 224, "width": 224},
        "do_rescale": True,
        "rescale_factor": 0.00392156862745098,
        "do_normalize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "do_convert_rgb": True,
    },
}


def written(at: pathlib.Path, files=FILES) -> pathlib.Path:
    for name, content in files.items():
        path = at / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return at


def test_every_field_is_read_under_its_canonical_name(tmp_path: pathlib.Path) -> None:
    found = dict(folder.read(written(tmp_path)).fields)
    assert {name for name in found if name.endswith("Digest")} == {"vocabularyDigest", "addedTokensDigest"}
    assert found["normalizer"].startswith("BertNormalizer:")
    assert {name: found[name] for name in found if not name.endswith("Digest") and name not in {
        "normalizer", "postProcessor"}} == {
        "tokenizerType": "WordPiece",
        "vocabularySize": 3,
        "lowercase": True,
        "stripAccents": True,
        "preTokenizer": "BertPreTokenizer",
        "truncationSide": "right",
        "paddingSide": "right",
        "tokenizerConfigLowercase": True,
        "specialTokens": {"cls_token": "[CLS]", "unk_token": "[UNK]"},
        "dtype": "float16",
        # The nearest to serving wins.
        "maxLength": 256,
        "pooling": "Mean",
        "modules": "Transformer+Pooling+Normalize",
        "normalized": "Unit",
        "promptTemplate": "query: ",
        "prompts": {"query": "query: "},
        "imageSize": 224,
        "resizeFilter": "bicubic",
        "crop": "center 224",
        "valueScale": 0.00392156863,
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
        "channelOrder": "RGB",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("file", "changes", "field"),
    [
        (
            "tokenizer.json",
            {"model": {"type": "WordPiece", "vocab": {"[UNK]": 0, "cat": 1, "a": 2}}},
            "vocabularyDigest",
        ),
        (
            "tokenizer.json",
            {"normalizer": {"type": "BertNormalizer", "lowercase": True, "strip_accents": False}},
            "stripAccents",
        ),
        (
            "tokenizer.json",
            {"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}]}},
            "lowercase",
        ),
        ("tokenizer.json", {"pre_tokenizer": {"type": "Whitespace"}}, "preTokenizer"),
        ("sentence_bert_config.json", {"max_seq_length": 128}, "maxLength"),
        (
            "1_Pooling/config.json",
            {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False},
            "pooling",
        ),
        ("config_sentence_transformers.json", {"default_prompt_name": None}, "promptTemplate"),
        ("preprocessor_config.json", {"resample": 2}, "resizeFilter"),
        ("preprocessor_config.json", {"image_mean": [0.48, 0.46, 0.41]}, "mean"),
        ("preprocessor_config.json", {"do_normalize": False}, "mean"),
        ("preprocessor_config.json", {"do_rescale": False}, "valueScale"),
        ("preprocessor_config.json", {"do_center_crop": False}, "crop"),
        ("preprocessor_config.json", {"size": {"height": 224, "width": 336}}, "imageSize"),
        ("config.json", {"torch_dtype": "bfloat16"}, "dtype"),
    ],
    ids=lambda value: None if isinstance(value, dict) else value,
)
def test_a_change_in_a_file_is_a_change_of_its_field(tmp_path: pathlib.Path, file, changes, field) -> None:
    before = folder.read(written(tmp_path / "before"))
    after = folder.read(written(tmp_path / "after", FILES | {file: FILES[file] | changes}))
    found = difference.compare(before.fields, after.fields)
    assert field in {change.field for change in found.changes}
    assert before.digest != after.digest
    # It is told, and it fails nothing that nobody pinned.
    assert found.verdict is v.Verdict.PASS


def test_two_ways_of_writing_one_vocabulary_are_one(tmp_path: pathlib.Path) -> None:
    fast = folder.read(written(tmp_path / "fast", {"tokenizer.json": TOKENIZER})).fields
    slow = folder.read(written(tmp_path / "slow", {"vocab.txt": "[UNK]\na\ncat\n"})).fields
    assert slow["vocabularyDigest"] == fast["vocabularyDigest"]
    pair = {"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [["a", "b"]]}}
    text = {"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a b"]}}
    old, new = (
        folder.read(written(tmp_path / name, {"tokenizer.json": one})).fields
        for name, one in (("new", pair), ("old", text))
    )
    assert old["mergesDigest"] == new["mergesDigest"]


def test_an_empty_folder_states_nothing(tmp_path: pathlib.Path) -> None:
    assert dict(folder.read(tmp_path).fields) == {}


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("tokenizer.json", "{"),
        ("tokenizer.json", "[]"),
        ("tokenizer.json", "[" * 100_000),
        ("tokenizer.json", '{"normalizer": 3}'),
        ("tokenizer.json", '{"added_tokens": [{}]}'),
        ("preprocessor_config.json", '{"size": {}}'),
        ("modules.json", '{"type": 3}'),
        ("modules.json", "[3]"),
        ("vocab.txt", "\udcff"),
    ],
)
def test_a_file_that_is_not_what_it_says_is_an_error_with_words(
    tmp_path: pathlib.Path, file, content
) -> None:
    (tmp_path / file).write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(failure.CheckError, match=file) as raised:
        folder.read(tmp_path)
    assert raised.value.reason == "ContractUnreadable"


def test_one_value_has_one_spelling_and_so_one_digest() -> None:
    told = fields.contract({"interpolation": "BICUBIC", "rescale": 1 / 255, "resize": 224.0, "mean": None})
    read = fields.contract({"resizeFilter": "bicubic", "valueScale": 0.00392156862745098, "imageSize": 224})
    assert told == read
    assert told.digest == read.digest
    assert told.canonical() == b'{"imageSize":224,"resizeFilter":"bicubic","valueScale":0.00392156863}'


BEFORE = {"lowercase": True, "maxLength": 256, "torch": "2.6"}


@pytest.mark.parametrize(
    ("after", "pinned", "expected", "verdict", "standing"),
    [
        ({}, {}, (), "Pass", {}),
        ({"lowercase": False}, {}, (), "Pass", {"lowercase": "Reported"}),
        ({"lowercase": False}, {}, ("lowercase",), "Pass", {"lowercase": "Expected"}),
        ({"lowercase": False}, {"lowercase": True}, (), "Fail", {"lowercase": "Pinned"}),
        # Said on purpose or not: what the manifest pins must be so.
        ({"lowercase": False}, {"lowercase": True}, ("lowercase",), "Fail", {"lowercase": "Pinned"}),
        # The manifest states the new value: that is how a change is announced.
        ({"lowercase": False}, {"lowercase": False}, (), "Pass", {"lowercase": "Expected"}),
        (
            {"lowercase": False, "torch": "2.7"},
            {},
            ("torch",),
            "Pass",
            {"lowercase": "Reported", "torch": "Expected"},
        ),
        ({}, {"pooling": "Mean"}, (), "NoData", {}),
        ({"lowercase": False}, {"lowercase": True, "pooling": "Mean"}, (), "Fail", {"lowercase": "Pinned"}),
        ({"pooling": "Mean"}, {}, (), "Pass", {"pooling": "Reported"}),
    ],
)
def test_what_follows_from_a_change(after, pinned, expected, verdict, standing) -> None:
    found = difference.compare(BEFORE, BEFORE | after, pinned=pinned, expected=expected)
    assert found.verdict == verdict
    assert {change.field: str(change.standing) for change in found.changes} == standing


def test_without_a_reference_only_pins_are_judged() -> None:
    found = difference.compare(None, BEFORE, pinned={"lowercase": False})
    assert [str(change) for change in found.changes] == ["lowercase false → true"]
    assert found.sentence() == "not as pinned: lowercase false → true"
    assert difference.compare(None, {}).verdict is v.Verdict.NO_DATA


def test_a_sentence_names_the_first_fields_and_counts_the_rest() -> None:
    before, after = ({f"f{n}": value for n in range(9)} for value in (1, 2))
    assert difference.compare(before, after).sentence().endswith("f5 1 → 2 and 3 more")
    assert difference.compare(before, before).sentence() == "9 fields are equal"


def test_what_a_process_tells_is_brought_to_the_same_names() -> None:
    info = client.Info.model_validate(
        {
            "schema": "probe.modelrelease.dev/v1",
            "stages": [],
            "model": {"dtype": "float16", "files": {"model.safetensors": "sha256:0"}},
            "embedding": {"pooling": "Cls", "normalized": "Unit"},
            "maxInputTokens": 77,
            "preprocess": {"contract": {"resize": 224, "interpolation": "bicubic", "channelOrder": "RGB"}},
            "accelerator": {"name": "NVIDIA L4", "driver": "570.1"},
            "packages": {"Torch": "2.6", "sentence_transformers": "5.0", "wheel": "1"},
            "own": 3,
        }
    )
    assert dict(process.preprocessing(info).fields) == {
        "imageSize": 224,
        "resizeFilter": "bicubic",
        "channelOrder": "RGB",
        "pooling": "Cls",
        "normalized": "Unit",
        "maxLength": 77,
        "dtype": "float16",
    }
    assert process.environment(info) == {
        "packages.torch": "2.6",
        "packages.sentence-transformers": "5.0",
        "accelerator.name": "NVIDIA L4",
        "accelerator.driver": "570.1",
    }
    assert process.files(info) == {"model.safetensors": "sha256:0"}
