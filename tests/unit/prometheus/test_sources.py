from pathlib import Path

import pytest

from modelrelease.controller import settings
from modelrelease.prometheus.sources import SourcesError, UnknownSourceError, load

FULL = """
sources:
- name: default
  url: https://prometheus.monitoring:9090/prom/
  bearerTokenFile: /var/run/secrets/prometheus/token
  tenant: {value: team-search}
  caFile: /etc/ssl/prometheus.crt
  timeoutSeconds: 10
  clientCertificate: {certificateFile: /tls/tls.crt, keyFile: /tls/tls.key}
  concurrency: 8
  queriesPerSecond: 50
  podLabel: exported_pod
- name: other
  url: http://127.0.0.1:9090
  basicAuth: {username: me, passwordFile: /secrets/password}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "sources.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_sources_are_named_by_the_installation(tmp_path: Path) -> None:
    sources = load(written(tmp_path, FULL))
    default = sources.named("default")
    assert default.url == "https://prometheus.monitoring:9090/prom"
    assert default.tenant is not None
    assert (default.tenant.header, default.pod_label) == ("X-Scope-OrgID", "exported_pod")
    assert (sources.named("other").timeout_seconds, sources.named("other").namespace_label) == (
        5,
        "namespace",
    )


def test_an_unknown_name_is_told_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UnknownSourceError, match="'mine'; the installation has default, other") as raised:
        load(written(tmp_path, FULL)).named("mine")
    assert raised.value.known == ("default", "other")
    with pytest.raises(UnknownSourceError, match="has none"):
        load(written(tmp_path, "")).named("mine")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("sources: [", "no YAML"),
        ("- a", "the document"),
        ("sources: [{name: a}]", "url"),
        ("sources: [{name: a, url: 'ftp://x'}]", "http or https"),
        ("sources: [{name: a, url: 'http://'}]", "with a host"),
        ("sources: [{name: a, url: 'http://u:p@x'}]", "credentials"),
        ("sources: [{name: a, url: 'http://x?a=b'}]", "query"),
        ("sources: [{name: A, url: 'http://x'}]", "name"),
        ("sources: [{name: a, url: 'http://x', timeoutSeconds: 11}]", "timeoutSeconds"),
        ("sources: [{name: a, url: 'http://x', podLabel: 'a-b'}]", "podLabel"),
        ("sources: [{name: a, url: 'http://x', bearerTokenFile: relative}]", "absolute"),
        ("sources: [{name: a, url: 'http://x', token: secret}]", "token"),
        (
            "sources: [{name: a, url: 'https://x', insecureSkipVerify: true}]",
            "CA in caFile",
        ),
        ("sources: [{name: a, url: 'http://x', caFile: /ca}]", "need an https URL"),
        ("sources: [{name: a, url: 'https://x', clientCertificate: {keyFile: /k}}]", "certificateFile"),
        ("sources: [{name: a, url: 'http://x', concurrency: 0}]", "concurrency"),
        ("sources: [{name: a, url: 'http://x', queriesPerSecond: 0}]", "queriesPerSecond"),
        ("sources: [{name: a, url: 'http://x', tenant: {value: \"a\\nb\"}}]", "tenant"),
        (
            "sources: [{name: a, url: 'http://x', bearerTokenFile: /t, "
            "basicAuth: {username: u, passwordFile: /p}}]",
            "exclude",
        ),
        ("sources: [{name: a, url: 'http://x'}, {name: a, url: 'http://y'}]", "named twice: a"),
    ],
)
def test_what_is_wrong_is_told_in_one_sentence(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(SourcesError, match=says) as raised:
        load(written(tmp_path, text))
    assert "\n" not in str(raised.value) or "YAML" in str(raised.value)


def test_a_file_that_is_not_mounted_is_told_by_name(tmp_path: Path) -> None:
    sources = load(written(tmp_path, FULL))
    said = sources.missing()
    assert said == (
        "Prometheus source 'default' needs /var/run/secrets/prometheus/token: No such file or directory"
    )
    token = tmp_path / "token"
    token.write_text("x", encoding="ascii")
    text = f"sources: [{{name: a, url: 'http://x', bearerTokenFile: {token}}}]"
    assert load(written(tmp_path, text)).missing() is None


def test_the_operator_does_not_start_without_a_mounted_file(tmp_path: Path) -> None:
    text = "checksImage: x\nprometheus: {sources: [{name: a, url: 'https://x', caFile: /nowhere/ca.crt}]}"
    with pytest.raises(settings.SettingsError, match="'a' needs /nowhere/ca"):
        settings.load({settings.PATH_VARIABLE: str(written(tmp_path, text))})


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(SourcesError, match="cannot be read"):
        load(tmp_path / "none.yaml")
