from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from typer import testing

from slo_simulation import cli, peers, traffic

RUNNER = testing.CliRunner()


def test_a_team_sees_every_rule_the_costs_and_a_picture(tmp_path: Path) -> None:
    picture = tmp_path / "verdicts.svg"
    options = ["slo", "--rate", "0.1", "--fault", "2", "--runs", "20", "--plot", str(picture)]
    said = RUNNER.invoke(cli.app, options, env={"COLUMNS": "200"})
    assert said.exit_code == 0, said.output
    for name in ("R2", *(peer.name for peer in peers.PEERS)):
        assert said.output.count(name) >= 2
    assert "Pass can't be reached in the 30 min left" in said.output
    root = ElementTree.fromstring(picture.read_text(encoding="utf-8"))  # noqa: S314 - our own
    assert len(root.findall("{http://www.w3.org/2000/svg}rect")) == 3 + 2 * 5 * 3


@pytest.mark.parametrize("objective", ["100", "0", "most"])
def test_an_objective_that_cannot_be_judged_is_usage(objective: str) -> None:
    said = RUNNER.invoke(cli.app, ["slo", "--rate", "1", "--objective", objective])
    assert said.exit_code == 64
    assert "--objective" in said.output


@pytest.mark.parametrize("family", traffic.Family)
def test_every_family_has_possible_counts(family: traffic.Family) -> None:
    scenario = traffic.Scenario(family, 2.0, 0.001, 0.05, seconds=1200)
    seen = traffic.generate(scenario, 50, np.random.default_rng(1))
    assert seen.candidate.shape == seen.stable.shape == (50, 80)
    assert (seen.candidate_bad <= seen.candidate).all()
    assert (seen.stable_bad <= seen.stable).all()
    assert seen.candidate_bad.sum() > 2 * seen.stable_bad.sum() or "incident" in family
