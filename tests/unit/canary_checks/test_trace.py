import fastapi
import pytest

from canary_checks import failure, inputs, probe_router
from canary_checks import vocabulary as v
from canary_checks.trace import client, session
from tests.unit.canary_checks import sample_servers

BOTH = sample_servers.texts() | sample_servers.photos()


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(client.TOKEN_VARIABLE, sample_servers.TOKEN)


async def compared(a: str, b: str, items=BOTH) -> session.Report:
    one = client.TraceClient(url=a, token=sample_servers.TOKEN, run="test")
    other = client.TraceClient(url=b, token=sample_servers.TOKEN, run="test")
    async with one, other:
        return await session.run(one, other, items)


@pytest.fixture(scope="module")
def good():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(client.TOKEN_VARIABLE, sample_servers.TOKEN)
        with sample_servers.sample_server() as url:
            yield url


@pytest.mark.parametrize(
    ("fault", "stage", "cause"),
    [
        ({"channel_order": "BGR"}, "image.pixels", "ChannelOrder"),
        ({"interpolation": "bilinear"}, "image.pixels", "ResizeFilter"),
        ({"interpolation": "lanczos"}, "image.pixels", "ResizeFilter"),
        ({"normalize": False}, "image.pixels", "MeanStd"),
        ({"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}, "image.pixels", "MeanStd"),
        ({"rescale": 1.0, "normalize": False}, "image.pixels", "MeanStd"),
        ({"rescale": 1.0}, "image.pixels", "ValueScale"),
        ({"rescale": 1 / 255**2}, "image.pixels", "ValueScale"),
        ({"resize": 96}, "image.pixels", "Crop"),
        ({"lowercase": False, "strip_accents": False}, "text.tokens", "Casing"),
        ({"lowercase": False}, "text.tokens", "Casing"),
        ({"strip_accents": False}, "text.tokens", "Accents"),
        ({"max_length": 32}, "text.tokens", "Truncation"),
        ({"prompt": "query: "}, "text.tokens", "PromptPrefix"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else None,
)
async def test_the_first_stage_that_differs_is_named_with_its_proven_cause(good, fault, stage, cause) -> None:
    with sample_servers.sample_server(**fault) as bad:
        found = await compared(good, bad)
    assert found.verdict is v.Verdict.FAIL
    assert found.first is not None
    assert found.first.name == stage
    assert found.first.cause is not None
    assert (found.first.cause.cause, found.first.cause.confidence) == (cause, v.Confidence.PROVEN)


async def test_two_processes_that_are_alike_pass_with_digests_alone(good) -> None:
    with sample_servers.sample_server() as other:
        one = client.TraceClient(url=good, token=sample_servers.TOKEN, run="test")
        two = client.TraceClient(url=other + "/", token=sample_servers.TOKEN, run="test")
        async with one, two:
            found = await session.run(one, two, BOTH)
    assert found.verdict is v.Verdict.PASS
    assert found.first is None
    assert [stage.name for stage in found.stages] == list(found.infos[0].stages)
    assert all(not difference.changes for difference in found.statements.values())
    # The info and one trace: no tensor was asked for.
    assert (one.sent, two.sent) == (2, 2)


async def test_what_the_two_sides_state_differently_is_told_by_field_name(good) -> None:
    with sample_servers.sample_server(interpolation="bilinear", max_length=32) as other:
        found = await compared(good, other, {"t-000": inputs.Text("a cat")})
    assert found.verdict is v.Verdict.PASS
    changes = {
        change.field: (change.before, change.after) for change in found.statements["preprocessing"].changes
    }
    assert changes == {"resizeFilter": ("bicubic", "bilinear"), "maxLength": (64, 32)}


async def test_a_side_that_reads_files_may_fail_and_never_pass(good) -> None:
    def sidecar(**settings: object) -> fastapi.FastAPI:
        model = sample_servers.SERVER.Model(sample_servers.SERVER.Settings(**settings))
        app = fastapi.FastAPI()
        stages = {"text.tokens": lambda item: model.tokens(item["text"])}
        app.include_router(probe_router.probe_router({"source": "Artifact"}, stages))
        return app

    with sample_servers.serving(sidecar()) as files:
        alike = await compared(good, files, sample_servers.texts())
    assert alike.verdict is v.Verdict.INCONCLUSIVE
    assert "not what the server does" in alike.stages[0].message
    assert alike.first is None
    with sample_servers.serving(sidecar(lowercase=False)) as files:
        apart = await compared(good, files, sample_servers.texts())
    assert apart.verdict is v.Verdict.FAIL
    assert apart.first is not None
    assert apart.first.name == "text.tokens"


async def test_a_stage_that_only_one_side_tells_is_no_data(good) -> None:
    app = fastapi.FastAPI()
    app.include_router(probe_router.probe_router({}, {"text.other": lambda item: [1]}))
    with sample_servers.serving(app) as other:
        found = await compared(good, other, sample_servers.texts())
    assert found.verdict is v.Verdict.NO_DATA
    assert {stage.verdict for stage in found.stages} == {v.Verdict.NO_DATA}


async def test_an_item_that_one_side_refuses_fails(good) -> None:
    broken = inputs.Image(b"no image", "image/png")
    app = fastapi.FastAPI()
    pixels = sample_servers.SERVER.Model(sample_servers.SERVER.Settings()).pixels
    good_one = next(iter(sample_servers.photos(1).values()))
    stages = {"image.pixels": lambda item: pixels(good_one.content)}
    app.include_router(probe_router.probe_router({}, stages))
    with sample_servers.serving(app) as other:
        found = await compared(good, other, {"x": broken, "y": good_one})
    assert (found.stages[0].name, found.stages[0].verdict) == ("image.pixels", v.Verdict.FAIL)
    assert "refused by one side only: x" in found.stages[0].message


@pytest.mark.parametrize(
    ("status", "content", "reason"),
    [
        (200, b"<html>", "ResponseInvalid"),
        (200, b"[]", "ResponseInvalid"),
        (200, b'{"schema":"probe.modelrelease.dev/v2","stages":[]}', "ResponseInvalid"),
        (200, b'{"schema":"probe.modelrelease.dev/v1"}', "ResponseInvalid"),
        (404, b"{}", "ProbeUnavailable"),
        (302, b"", "EndpointError"),
        (500, b"boom", "EndpointError"),
        (200, b" " * ((96 << 20) + 1), "ResponseInvalid"),
    ],
)
async def test_an_endpoint_that_is_none_is_an_error_with_words(status, content, reason) -> None:
    app = fastapi.FastAPI()

    @app.get("/probe/v1/info")
    def info() -> fastapi.Response:
        return fastapi.Response(content, status, {"location": "http://elsewhere.invalid/"})

    with sample_servers.serving(app) as url:
        async with client.TraceClient(url=url, token="t", run="test") as asked:
            with pytest.raises(failure.CheckError) as raised:
                await asked.info()
    assert raised.value.reason == reason


@pytest.mark.parametrize(
    "stages",
    [
        {"text.tokens": {"ids": ["1"]}},
        {"text.tokens": {"ids": [2**40]}},
        {"text.tokens": {"ids": [True]}},
        {"text.tokens": {}},
        {"text.tokens": 3},
        {"text.tokens": {"dtype": "float32", "shape": [1], "sha256": "0", "data": "AAAAAA=="}},
        {"text.tokens": {"dtype": "float32", "shape": [2], "sha256": "0", "data": "AAAAAA=="}},
        {"text.tokens": {"dtype": "float32", "shape": [1], "sha256": "0", "data": "?"}},
        {"text.tokens": {"dtype": "float32", "shape": [-1], "sha256": "0"}},
        {"text.tokens": {"dtype": "float64", "shape": [1], "sha256": "0"}},
        [],
        None,
    ],
)
async def test_a_trace_that_is_none_is_an_error_with_words(stages) -> None:
    app = fastapi.FastAPI()

    @app.post("/probe/v1/trace")
    def trace() -> dict[str, object]:
        return {"items": [{"id": "x", "stages": stages}] if stages is not None else 3}

    with sample_servers.serving(app) as url:
        async with client.TraceClient(url=url, token="t", run="test") as asked:
            with pytest.raises(failure.CheckError, match=r"trace|stages|text\.tokens") as raised:
                await asked.digests({"x": inputs.Text("y")}, ["text.tokens"])
    assert raised.value.reason == "ResponseInvalid"


async def test_a_busy_server_is_waited_for_and_not_for_ever() -> None:
    app = fastapi.FastAPI()
    answers = iter([429, 200])

    @app.get("/probe/v1/info")
    def info() -> fastapi.Response:
        said = '{"schema":"probe.modelrelease.dev/v1","stages":[]}'
        return fastapi.Response(said, next(answers, 429), {"retry-after": "0"})

    with sample_servers.serving(app) as url:
        async with client.TraceClient(url=url, token="t", run="test", busy_seconds=0.35) as asked:
            assert (await asked.info()).stages == ()
            with pytest.raises(failure.CheckError, match="traces for somebody else"):
                await asked.info()


async def test_nobody_there_is_said_so() -> None:
    async with client.TraceClient(url="http://127.0.0.1:1", token="t", run="test") as asked:
        with pytest.raises(failure.CheckError) as raised:
            await asked.info()
    assert raised.value.reason == "EndpointUnreachable"
