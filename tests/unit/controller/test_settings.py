from pathlib import Path

import pytest

from modelrelease.controller import settings

ROOT = Path(__file__).parents[3]


def load(tmp_path: Path, text: str, **environment: str) -> settings.Settings:
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return settings.load({"MODELRELEASE_CONFIG": str(path), **environment})


def test_the_file_that_is_shipped_is_valid():
    path = ROOT / "manifests" / "base" / "config.yaml"
    loaded = settings.load({"MODELRELEASE_CONFIG": str(path)})
    assert loaded.prometheus.named("default").url == "http://prometheus.monitoring.svc:9090"


def test_what_is_not_said_has_a_default(tmp_path: Path):
    loaded = load(tmp_path, "checksImage: checks:1")
    assert loaded.namespaces == ()
    assert loaded.checks_torch_image == "", "only checks that run a model need it"
    assert loaded.intervals.pacing().resync_seconds == 60.0


def test_the_environment_wins_over_the_file(tmp_path: Path):
    loaded = load(
        tmp_path,
        "checksImage: checks:1\nlogLevel: info",
        MODELRELEASE_CHECKS_IMAGE="checks:2",
        MODELRELEASE_CHECKS_TORCH_IMAGE="torch:2",
        MODELRELEASE_LOG_LEVEL="debug",
        MODELRELEASE_NAMESPACES="one, two",
        MODELRELEASE_HEALTH_PORT="0",
    )
    assert (loaded.checks_image, loaded.checks_torch_image) == ("checks:2", "torch:2")
    assert loaded.log_level == "debug"
    assert (loaded.namespaces, loaded.health_port) == (("one", "two"), 0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("logLevel: info", "checksImage"),
        ("checksImage: c\nnamespace: typo", "namespace"),
        ("checksImage: c\nintervals: {resyncSeconds: 0}", "resyncSeconds"),
        ("checksImage: c\nintervals: {resyncSeconds: .inf}", "resyncSeconds"),
        ("checksImage: c\nnamespaces: [Bad_Name]", "namespaces"),
        ("checksImage: c\nprometheus: {sources: [{name: a, url: 'ftp://x'}]}", "prometheus.sources"),
        ("checksImage: c\nnotifications: {targets: [{name: a, urlFile: u}]}", "notifications.targets"),
        (
            "checksImage: c\nnotifications: {targets: [{name: a, urlFile: /none/url}]}",
            "target 'a' needs /none/url",
        ),
        ("checksImage: c\ntracing: {endpoint: 'collector:4318'}", "tracing.endpoint"),
        ("- checksImage", "mapping"),
        ("checksImage: {", "config.yaml"),
    ],
)
def test_a_setting_that_can_not_be_used_is_named(tmp_path: Path, text: str, said: str):
    with pytest.raises(settings.SettingsError, match=said):
        load(tmp_path, text)


def test_a_named_file_must_exist(tmp_path: Path):
    with pytest.raises(settings.SettingsError, match="missing"):
        settings.load({"MODELRELEASE_CONFIG": str(tmp_path / "missing.yaml")})


def test_targets_and_collector(tmp_path: Path):
    (tmp_path / "chat").write_text("json://127.0.0.1", encoding="utf-8")
    loaded = load(
        tmp_path,
        "checksImage: c\n"
        f"notifications: {{targets: [{{name: chat, urlFile: {tmp_path}/chat, teams: [sre]}}]}}\n"
        "tracing: {endpoint: 'http://collector:4318/'}",
    )
    assert loaded.notifications.targets[0].severities == ("page", "ticket", "info")
    assert loaded.tracing.url() == "http://collector:4318/v1/traces"
    quiet = load(tmp_path, "checksImage: c")
    assert (quiet.notifications.targets, quiet.tracing.on({})) == ((), False)
