"""The pure parts of the tool that runs an Argo CD: nothing here starts one."""

from pathlib import Path

import pytest

from hack.argocd import __main__ as command
from hack.argocd import daemons, fragment, lifecycle, objects, programs
from hack.argocd.places import PORT_NAMES, Places
from hack.argocd.repository import Repository
from hack.cluster.paths import ClusterPaths


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("MODELRELEASE_KUBECONFIG", raising=False)
    found = Places(ClusterPaths("unit"))
    found.make()
    return found


def test_each_cluster_has_its_own(places: Places):
    assert places.state != Places(ClusterPaths("unit", control_plane=True)).state
    assert places.target == ClusterPaths("unit").kubeconfig


def test_ports_are_chosen_once_and_differ(places: Places):
    ports = places.ports
    assert tuple(ports) == PORT_NAMES
    assert len(set(ports.values())) == len(PORT_NAMES)
    assert places.ports == ports


def test_everything_listens_on_loopback_alone(places: Places):
    started = daemons.daemons(places)
    assert tuple(started) == daemons.NAMES
    for name, daemon in started.items():
        words = [word for argument in daemon.argv for word in argument.split("=")]
        # Argo CD's controller has no other port than that of its metrics, and no address to choose for it.
        assert "127.0.0.1" in words or name == "application-controller"
        assert "0.0.0.0" not in words


def test_an_argo_cd_is_told_what_users_are_told():
    told = next(one for one in objects.configuration() if one["metadata"]["name"] == "argocd-cm")
    assert told["data"] == fragment.config_map()["data"]


def test_the_versions_are_pinned():
    assert [program.version()[0] for program in programs.ALL] == ["v", "v"]
    assert all((program.folder / "go.sum").exists() for program in programs.ALL)


def test_a_team_commits_and_reverts(tmp_path: Path):
    repository = Repository(tmp_path / "git")
    repository.ensure()
    first = repository.commit({"a/b.yaml": "one"}, "One")
    second = repository.commit({"a/b.yaml": "two"}, "Two")
    back = repository.revert()
    assert len({first, second, back}) == 3
    assert (tmp_path / "git" / "a" / "b.yaml").read_text() == "one"
    repository.ensure()
    assert repository.head() == back
    # The same content again is a commit, too: a test can be run twice.
    assert repository.commit({"a/b.yaml": "one"}, "One") != back


def test_status_and_down_of_nothing(places: Places, capsys: pytest.CaptureFixture[str]):
    places.state.rename(places.state.with_name("elsewhere"))
    assert lifecycle.Lifecycle(places).down() == []
    assert command.main(["status", "--name", "unit"]) == 1
    assert command.main(["down", "--name", "unit"]) == 0
    assert capsys.readouterr().out == "not up\n"


def test_without_a_cluster_it_says_so(places: Places):
    steps = {step.title: step for step in lifecycle.Lifecycle(places).up()}
    with pytest.raises(lifecycle.StepError, match="there is no cluster"):
        steps["state and ports"].action()


def test_arguments_of_pytest_come_after_two_dashes():
    options = command.parse(["test", "--keep", "--", "-k", "hook", "-x"])
    assert (options.keep, options.pytest) == (True, ["-k", "hook", "-x"])
