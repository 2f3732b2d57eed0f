"""The demo's six lives: the same code as ``make demo``, so what the README promises is what is tested.

What they leave in Prometheus is what the dashboards are tried on.
"""

import time

import pytest

from hack.cluster import paths, prometheus, settings
from hack.dashboards import live
from hack.demo import __main__ as demo
from hack.demo import lives, stage


@pytest.mark.timeout(3000)
@pytest.mark.alone
def test_the_six_lives_of_a_release_go_as_told(on: stage.Stage, capsys: pytest.CaptureFixture[str]) -> None:
    began = time.monotonic()
    with capsys.disabled():  # a quarter of an hour without a word looks like a hang
        rows = demo.perform(on, list(lives.LIVES))
        demo.print_table(rows)
    assert [row.life.name for row in rows] == [life.name for life in lives.LIVES]
    assert {row.life.name: row.told.problems for row in rows if row.told.problems} == {}
    cluster = settings.load(paths.ClusterPaths())
    assert cluster is not None
    seconds = int(time.monotonic() - began)
    assert live.problems(prometheus.url(cluster), seconds) == [], (
        "each panel of the dashboards shows something"
    )
    on.kube.delete(f"/api/v1/namespaces/{stage.NAMESPACE}")
