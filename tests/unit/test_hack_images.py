from __future__ import annotations

import asyncio
import http.server
import json
import socket
import threading
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import safetensors.numpy

from hack.cluster.paths import ClusterPaths
from hack.cluster.steps import Progress, StepError
from hack.images import __main__ as command
from hack.images import build, catalogue
from hack.images import registry as registries
from hack.images.catalogue import IMAGES, ROOT, image_key, with_parents
from hack.images.clip import variant as clip_variant
from hack.images.infinity import cpu_only, variant
from hack.loadgen import loadgen

DIGEST = "sha256:" + "a" * 64


# ------------------------------------------------------------ the catalogue


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository that has every input of every image."""
    for image in IMAGES.values():
        for name in (image.dockerfile, *image.inputs):
            path = tmp_path / name
            if (ROOT / name).is_dir():
                path.mkdir(parents=True, exist_ok=True)
                path = path / "module.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name, encoding="utf-8")
    return tmp_path


def keys(root: Path) -> dict[str, str]:
    return {name: image_key(name, root) for name in IMAGES}


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name, key in before.items() if after[name] != key}


def test_every_image_has_a_key_of_its_own(repository: Path) -> None:
    assert len(set(keys(repository).values())) == len(IMAGES)
    assert keys(repository) == keys(repository)


@pytest.mark.parametrize(
    ("path", "images"),
    [
        ("operator/module.py", {"operator", "checks", "checks-torch", "loadgen", "probe", "renderer"}),
        ("requirements/torch.txt", {"checks-torch", "torch-cpu", "checks-torch-cpu", "diffuser"}),
        ("hack/images/diffuser/server.py", {"diffuser"}),
        ("requirements/operator.txt", {"operator"}),
        (
            "requirements/checks.txt",
            {
                *{"checks", "checks-torch", "loadgen", "probe", "renderer"},
                *{"torch-cpu", "checks-torch-cpu", "diffuser"},
            },
        ),
        ("hack/images/renderer/server.py", {"renderer"}),
        ("hack/loadgen/loadgen.py", {"loadgen"}),
        ("hack/images/infinity/torch.txt", {name for name in IMAGES if name.startswith(("minilm", "clip"))}),
        ("hack/images/infinity/variant.py", {name for name in IMAGES if name.startswith("minilm-")}),
        ("hack/images/clip/model.py", {name for name in IMAGES if name.startswith("clip")}),
        ("hack/images/clip/variant.py", {name for name in IMAGES if name.startswith("clip-")}),
        ("hack/images/mlserver/models/module.py", {"mlserver"}),
    ],
)
def test_a_changed_input_changes_the_images_that_are_made_from_it(
    repository: Path, path: str, images: set[str]
) -> None:
    before = keys(repository)
    (repository / path).write_text("changed", encoding="utf-8")
    assert changed(before, keys(repository)) == images


def test_a_moved_file_changes_the_key_and_bytecode_does_not(repository: Path) -> None:
    before = keys(repository)
    cache = repository / "operator" / "__pycache__"
    cache.mkdir()
    (cache / "module.cpython-311.pyc").write_bytes(b"x")
    assert keys(repository) == before
    inner = repository / "operator" / "inner"
    inner.mkdir()
    (repository / "operator" / "module.py").rename(inner / "module.py")
    assert "operator" in changed(before, keys(repository))


def test_every_input_exists() -> None:
    for image in IMAGES.values():
        assert list(catalogue.files(image)), image.name
        assert (ROOT / image.context).is_dir()


def test_parents_come_first_and_once() -> None:
    assert with_parents(["minilm-cls", "loadgen", "minilm-cased"]) == [
        "minilm",
        "minilm-cls",
        "checks",
        "loadgen",
        "minilm-cased",
    ]


@pytest.mark.parametrize(("model", "known"), [("minilm", variant.VARIANTS), ("clip", clip_variant.VARIANTS)])
def test_the_variants_are_those_that_the_script_knows(model: str, known: dict[str, Any]) -> None:
    variants = {name for name, image in IMAGES.items() if "VARIANT" in dict(image.arguments)}
    assert {f"{model}-{name}" for name in known} == {
        name for name in variants if name.startswith(f"{model}-")
    }


def test_what_is_slow_to_build_is_built_on_request_only(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[str] = []

    def ensure(names: list[str], _: ClusterPaths) -> dict[str, str]:
        built.extend(names)
        return {}

    monkeypatch.setattr(command, "ensure_images", ensure)
    assert command.main([]) == 0
    assert {"checks", "clip", "clip-bilinear", "mlserver"} <= set(built)
    assert not {"checks-torch", "clip-bgr"} & set(built)
    assert command.main(["--only", "checks-torch"]) == 0
    assert built[-1] == "checks-torch"


# ------------------------------------------------------------ the build


class Registry(http.server.BaseHTTPRequestHandler):
    known: frozenset[str] = frozenset()
    form = "application/vnd.oci.image.manifest.v1+json"

    def do_HEAD(self) -> None:
        # As Docker's registry does, which has nothing for those who do not name the form.
        found = self.path in self.known and self.form in self.headers.get("Accept", "")
        self.send_response(200 if found else 404)
        if found:
            self.send_header("Docker-Content-Digest", DIGEST)
        self.end_headers()

    def log_request(self, *_: object) -> None:
        """Stay quiet."""


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    paths = {f"/v2/modelrelease/{name}/manifests/{image_key(name)}" for name in ("checks", "minilm")}
    monkeypatch.setattr(Registry, "known", frozenset(paths))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Registry) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def paths(registry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ClusterPaths:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("MODELRELEASE_CACHE", str(tmp_path / "cache"))
    cluster = ClusterPaths("test")
    cluster.make()
    (tmp_path / "cache").mkdir()
    cluster.settings.write_text(json.dumps({"registry_port": int(registry.rpartition(":")[2])}))
    return cluster


def test_an_image_that_the_registry_has_is_not_built(
    paths: ClusterPaths, registry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "run", lambda *_, **__: pytest.fail("nothing may run"))
    images = build.Images(paths, Progress(1))
    images.ensure("checks")
    images.tidy()
    assert images.references == {"checks": f"{registry}/modelrelease/checks@{DIGEST}"}
    assert registries.references(paths) == images.references


def test_a_missing_image_is_built_from_its_parents_reference_and_pushed(
    paths: ClusterPaths, registry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []
    removed: list[str] = []

    def run(argv: list[object], **_: object) -> str:
        words = [str(word) for word in argv]
        commands.append(words)
        if words[1] == "push":
            Path(words[words.index("--digestfile") + 1]).write_text("sha256:new\n")
        return ""

    def succeeds(argv: list[str], **_: object) -> bool:
        removed.append(argv[-1])
        return True

    monkeypatch.setattr(build, "run", run)
    monkeypatch.setattr(build, "succeeds", succeeds)
    monkeypatch.setattr(build, "STORAGE", tmp_path)
    registries.index(paths).write_text(json.dumps({"gone": "x", "operator": "kept"}))
    images = build.Images(paths, Progress(2))
    for name in with_parents(["minilm-cls"]):
        images.ensure(name)
    images.tidy()

    parent = f"{registry}/modelrelease/minilm@{DIGEST}"
    made, pushed = commands
    assert f"PARENT={parent}" in made
    assert "VARIANT=cls" in made
    assert "--layers=false" in made
    assert pushed[-1] == f"docker://{registry}/modelrelease/minilm-cls:{image_key('minilm-cls')}"
    assert removed == [parent, "localhost/modelrelease/minilm-cls:latest"]
    assert registries.references(paths) == {
        "operator": "kept",
        "minilm": parent,
        "minilm-cls": f"{registry}/modelrelease/minilm-cls@sha256:new",
    }


@pytest.mark.parametrize(
    "form",
    [
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.oci.image.index.v1+json",
    ],
)
def test_an_image_is_found_in_every_form_in_which_programs_push_it(
    form: str, registry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Registry, "form", form)
    assert registries.pushed_digest(registry, "checks", image_key("checks")) == DIGEST


def test_where_no_registry_answers_a_sentence_says_so(paths: ClusterPaths) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    paths.settings.write_text(json.dumps({"registry_port": port}))
    with pytest.raises(StepError, match=f"no image registry answers at 127.0.0.1:{port}") as caught:
        build.Images(paths, Progress(1)).ensure("checks")
    assert "hack.cluster status" in caught.value.hint


def test_without_images_the_index_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with pytest.raises(StepError, match="no images") as caught:
        registries.references()
    assert "hack.images" in caught.value.hint


def test_the_projects_images_are_built_from_the_local_base() -> None:
    command = [str(word) for word in build.build_command(IMAGES["operator"], "tag", None)]
    assert f"BASE={build.LOCAL_BASE}" in command
    assert command[command.index("--target") + 1] == "operator"
    assert "--layers=true" in command
    assert command[-1] == str(ROOT)


def test_without_buildah_a_container_engine_builds_from_the_public_base_and_pushes(
    paths: ClusterPaths, registry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []

    def run(argv: list[object], **_: object) -> str:
        words = [str(word) for word in argv]
        commands.append(words)
        if words[1] == "push":
            pushed = words[-1].removeprefix(f"{registry}/").replace(":", "/manifests/")
            monkeypatch.setattr(Registry, "known", Registry.known | {f"/v2/{pushed}"})
        return ""

    monkeypatch.setattr(build, "run", run)
    monkeypatch.setattr(build, "STORAGE", tmp_path)
    monkeypatch.setattr(build.shutil, "which", lambda program: None if program == "buildah" else program)
    monkeypatch.setattr(build.external, "engine", lambda: True)
    references = build.ensure_images(["minilm-cls", "operator"], paths)

    cls, pushed_cls, operator, pushed = commands
    assert cls[:2] == operator[:2] == ["docker", "build"]
    assert f"PARENT={registry}/modelrelease/minilm@{DIGEST}" in cls
    assert not [word for word in operator if word.startswith("BASE=")]
    assert cls[cls.index("--tag") + 1] == pushed_cls[-1]
    assert pushed == [
        *("docker", "push", "--quiet"),
        f"{registry}/modelrelease/operator:{image_key('operator')}",
    ]
    assert references["operator"] == f"{registry}/modelrelease/operator@{DIGEST}"


# ------------------------------------------------------------ model servers


@pytest.fixture
def model(tmp_path: Path) -> Path:
    contents: dict[str, Any] = {
        "modules.json": [{"idx": 0, "type": "x.Transformer"}, {"idx": 1, "type": "x.Normalize"}],
        "tokenizer.json": {"normalizer": {"type": "BertNormalizer", "lowercase": True}, "model": {"ü": 1}},
        "tokenizer_config.json": {"do_lower_case": True, "model_max_length": 512},
        "sentence_bert_config.json": {"max_seq_length": 256, "do_lower_case": False},
        "1_Pooling/config.json": {
            "pooling_mode_cls_token": False,
            "pooling_mode_mean_tokens": True,
            "word_embedding_dimension": 384,
        },
    }
    (tmp_path / "1_Pooling").mkdir()
    for name, content in contents.items():
        (tmp_path / name).write_text(json.dumps(content), encoding="utf-8")
    return tmp_path


def read(model: Path) -> dict[str, Any]:
    return {
        str(path.relative_to(model)): json.loads(path.read_text(encoding="utf-8"))
        for path in model.rglob("*.json")
    }


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("modules", {"modules.json": [{"idx": 0, "type": "x.Transformer"}]}),
        (
            "cased",
            {
                "tokenizer.json": {
                    "normalizer": {"type": "BertNormalizer", "lowercase": False},
                    "model": {"ü": 1},
                },
                "tokenizer_config.json": {"do_lower_case": False, "model_max_length": 512},
            },
        ),
        ("truncated", {"sentence_bert_config.json": {"max_seq_length": 16, "do_lower_case": False}}),
        (
            "cls",
            {
                "1_Pooling/config.json": {
                    "pooling_mode_cls_token": True,
                    "pooling_mode_mean_tokens": False,
                    "word_embedding_dimension": 384,
                }
            },
        ),
    ],
)
def test_a_variant_changes_one_thing_only(model: Path, name: str, expected: dict[str, Any]) -> None:
    before = read(model)
    variant.VARIANTS[name](model)
    assert read(model) == before | expected


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    contents: dict[str, Any] = {
        "config.json": {"model_type": "clip", "max_length": 77},
        "preprocessor_config.json": {
            "resample": 3,
            "do_center_crop": True,
            "size": {"shortest_edge": 224},
            "image_mean": [0.48145466, 0.4578275, 0.40821073],
            "image_std": [0.26862954, 0.26130258, 0.27577711],
        },
    }
    for name, content in contents.items():
        (tmp_path / name).write_text(json.dumps(content), encoding="utf-8")
    filters = np.arange(2 * 3 * 2 * 2, dtype=np.float32).reshape(2, 3, 2, 2)
    weights = {clip_variant.FILTERS: filters, "other": np.ones(3, dtype=np.float32)}
    safetensors.numpy.save_file(weights, tmp_path / "model.safetensors")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "file", "expected"),
    [
        ("bilinear", "preprocessor_config.json", {"resample": 2}),
        (
            "squash",
            "preprocessor_config.json",
            {"do_center_crop": False, "size": {"height": 224, "width": 224}},
        ),
        (
            "meanstd",
            "preprocessor_config.json",
            {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]},
        ),
        ("truncated", "config.json", {"max_length": None}),
    ],
)
def test_a_variant_of_clip_changes_one_thing_only(
    clip: Path, name: str, file: str, expected: dict[str, Any]
) -> None:
    before, weights = read(clip), (clip / "model.safetensors").read_bytes()
    clip_variant.VARIANTS[name](clip)
    changed = {key: value for key, value in {**before[file], **expected}.items() if value is not None}
    assert read(clip) == before | {file: changed}
    assert (clip / "model.safetensors").read_bytes() == weights


def test_the_filters_of_the_bgr_variant_see_blue_where_they_saw_red(clip: Path) -> None:
    before, files = safetensors.numpy.load_file(clip / "model.safetensors"), read(clip)
    clip_variant.VARIANTS["bgr"](clip)
    after = safetensors.numpy.load_file(clip / "model.safetensors")
    assert np.array_equal(after[clip_variant.FILTERS], before[clip_variant.FILTERS][:, [2, 1, 0]])
    assert np.array_equal(after["other"], before["other"])
    assert read(clip) == files


def test_symbols_leave_out_versions_and_weak_ones() -> None:
    lines = ("  U at_least", "  w weak", "00000000 T here", "  U write@GLIBC_2.2")
    listing = "\n".join(lines)
    assert cpu_only.symbols(listing) == {"at_least", "here", "write"}


def test_each_kind_of_symbol_gets_a_fitting_stand_in() -> None:
    code = cpu_only.source(
        ["cudnnGetProperty", "_ZTI5Thing", "_ZTV5Thing", cpu_only.ASKED, "_ZN5Thing7OptionsC1Eb"]
    )
    assert "void cudnnGetProperty(void) { absent(__func__); }" in code
    assert '"5Thing"' in code
    assert "char _ZTV5Thing[4096];" in code
    assert "return zeros;" in code
    assert "self[0] = table;" in code


def test_an_edit_that_finds_nothing_stops_the_build(tmp_path: Path) -> None:
    path = tmp_path / "version.py"
    path.write_text("cuda: Optional[str] = '13.2'\nother = 1\n")
    cpu_only.edit(path, *cpu_only.EDITS[0][1:])
    assert path.read_text() == "cuda: Optional[str] = None\nother = 1\n"
    with pytest.raises(SystemExit, match="expected one line"):
        cpu_only.edit(path, r"^nothing like this$", "")


def test_a_cpu_build_of_torch_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    cpu_only.slim(tmp_path)
    assert list(tmp_path.iterdir()) == [tmp_path / "lib"]


# ------------------------------------------------------------ the load


def test_half_of_the_texts_are_long_and_have_capitals() -> None:
    found = list(islice(loadgen.texts(7), 100))
    assert found == list(islice(loadgen.texts(7), 100))
    lengths = [len(text.split()) for text in found]
    assert all(140 <= length <= 170 for length in lengths[::2])
    assert all(length <= 12 for length in lengths[1::2])
    assert all(text != text.lower() for text in found)


def test_percentiles_are_latencies_that_occurred() -> None:
    latencies = [0.1, 0.4, 0.2, 0.3]
    assert [loadgen.percentile(latencies, share) for share in (50, 95)] == [200.0, 400.0]
    assert loadgen.percentile([], 50) is None


def test_options_come_from_the_command_line_or_from_variables() -> None:
    options = loadgen.parse(["--rate", "3"], {"LOADGEN_URL": "http://search/v1", "LOADGEN_RATE": "9"})
    assert (options.url, options.rate, options.seconds) == ("http://search/v1", 3.0, 600.0)


@pytest.mark.parametrize(
    "arguments",
    [["--rate", "101"], ["--rate", "0"], ["--seconds", "3601"], ["--rate", "nan"], ["--concurrency", "0"]],
)
def test_the_load_is_bounded(arguments: list[str]) -> None:
    with pytest.raises(SystemExit):
        loadgen.parse(["--url", "http://search", *arguments], {})


@pytest.mark.parametrize(
    "url", ["http://8.8.8.8/v1", "http://[2001:4860:4860::8888]/", "ftp://127.0.0.1/", "x"]
)
def test_only_private_addresses_are_targets(url: str) -> None:
    with pytest.raises(SystemExit):
        loadgen.require_private(url)
    loadgen.require_private("http://127.0.0.1:7997/v1/embeddings")


def drive(handler: Any, options: loadgen.Options) -> loadgen.Counters:
    async def run() -> loadgen.Counters:
        async with (
            httpx.AsyncClient(transport=httpx.MockTransport(handler)) as kept,
            httpx.AsyncClient(transport=httpx.MockTransport(handler)) as fresh,
        ):
            load = loadgen.Load(options, kept, fresh)
            await load.run()
            return load.total

    return asyncio.run(run())


def test_the_load_counts_outcomes_and_ends(capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[dict[str, Any]] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(json.loads(request.content))
        if len(seen) == 3:
            raise httpx.ConnectError("refused")
        return httpx.Response(503 if len(seen) == 2 else 200)

    total = drive(handler, loadgen.Options("http://search/v1", rate=100.0, seconds=0.1))
    assert total.outcomes == {"200": 8, "503": 1, "ConnectError": 1}
    final = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (final["final"], final["sent"], final["ok"], final["error"]) == (True, 10, 8, 2)
    assert {entry["model"] for entry in seen} == {"minilm"}
    assert sum(len(entry["input"][0].split()) > 50 for entry in seen) == 5


def test_what_exceeds_the_concurrency_is_skipped_not_queued() -> None:
    release = asyncio.Event()

    async def handler(_: httpx.Request) -> httpx.Response:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(release.wait(), 1.5)
        return httpx.Response(200)

    total = drive(handler, loadgen.Options("http://search/v1", rate=100.0, seconds=0.1, concurrency=4))
    assert (total.sent, total.skipped, total.outcomes["200"]) == (4, 6, 4)


# ------------------------------------------------------------ the Dockerfiles


@pytest.mark.parametrize("path", sorted({image.dockerfile for image in IMAGES.values()}))
def test_a_dockerfile_names_no_registry_and_ends_without_root(path: str) -> None:
    lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
    stages = {line.split()[-1] for line in lines if " AS " in line}
    sources = {line.split()[1] for line in lines if line.startswith("FROM ")}
    assert sources <= stages | {"${BASE}", "${PARENT}"}
    assert {line for line in lines if line.startswith("ARG BASE")} <= {"ARG BASE=python:3.11-slim-bookworm"}
    users = [line for line in lines if line.startswith("USER ")]
    assert users[-1:] == ["USER 65532:65532"] or "${PARENT}" in sources
