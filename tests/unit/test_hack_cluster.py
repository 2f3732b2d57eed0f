"""The pure parts of the local cluster's tool: nothing here starts a cluster."""

from __future__ import annotations

import io
import ipaddress
import json
import os
import re
import shlex
import subprocess
import sys
from collections import namedtuple
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from hack.cluster import (
    binaries,
    cgroups,
    containerd,
    controlplane,
    dns,
    external,
    kubelet,
    network,
    packages,
    pki,
    processes,
    prometheus,
    registry,
    settings,
    simulated,
)
from hack.cluster.base_image import mirror
from hack.cluster.disk import GIB, require_free
from hack.cluster.locks import lock
from hack.cluster.mounts import mounts_below
from hack.cluster.paths import ClusterPaths, content_key, kubeconfig, write_if_changed
from hack.cluster.steps import Step, StepError, report, run_steps, tail, wait_until
from hack.cluster.teardown import Teardown
from hack.images import build

FIRST = settings.Settings(0, "172.30.0.0/22", "172.31.0.0/22", 5050)


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("MODELRELEASE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MODELRELEASE_KUBECONFIG", raising=False)
    cluster = ClusterPaths("unit")
    cluster.make()
    return cluster


@pytest.fixture
def sleeper():
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


def identity(pid: int, **changes: Any) -> processes.Identity:
    started = processes.start_time(pid)
    assert started is not None
    facts = {"pid": pid, "start_time": started, "boot_id": processes.boot_id(), **changes}
    return processes.Identity(**facts)


class TestContentKey:
    def test_the_same_inputs_give_the_same_key_in_any_order(self, tmp_path: Path):
        files = [tmp_path / "a", tmp_path / "b"]
        for path in files:
            path.write_text(path.name)
        assert content_key(files, "go1") == content_key(reversed(files), "go1")

    def test_every_input_counts(self, tmp_path: Path):
        path = tmp_path / "go.mod"
        path.write_text("one")
        key = content_key([path], "go1")
        assert key != content_key([path], "go2")
        path.write_text("two")
        assert key != content_key([path], "go1")

    def test_content_does_not_run_from_one_input_into_the_next(self, tmp_path: Path):
        path = tmp_path / "f"
        path.write_text("x")
        assert content_key([path], "ab", "c") != content_key([path], "a", "bc")

    def test_a_program_key_holds_the_compiler_version(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(binaries, "go_version", lambda: "go1/linux/amd64")
        before = binaries.KUBERNETES.key()
        monkeypatch.setattr(binaries, "go_version", lambda: "go2/linux/amd64")
        assert binaries.KUBERNETES.key() != before


class TestPrograms:
    @pytest.mark.parametrize("program", binaries.ALL, ids=lambda program: program.name)
    def test_modules_are_pinned_with_checksums(self, program: binaries.Program):
        if program.requires:
            assert re.fullmatch(r"v\d+\.\d+\.\d+", program.version())
            assert (program.folder / "go.sum").stat().st_size > 0

    def test_kubernetes_components_report_the_pinned_version(self):
        flags = " ".join(binaries.KUBERNETES.arguments())
        assert f"version.gitVersion={binaries.KUBERNETES.version()}" in flags
        assert "version.gitMinor=35" in flags

    def test_a_missing_requirement_is_an_error_with_advice(self):
        program = binaries.Program("pause", ".", "example.org/absent")
        with pytest.raises(StepError, match=r"example\.org/absent") as caught:
            program.version()
        assert caught.value.hint


class TestProcessOwnership:
    def test_a_running_process_is_known_by_id_start_time_and_boot(self, sleeper: subprocess.Popen[bytes]):
        assert identity(sleeper.pid).alive()

    def test_an_id_that_was_used_again_is_not_ours(self, sleeper: subprocess.Popen[bytes]):
        other = identity(sleeper.pid)
        assert not identity(sleeper.pid, start_time=other.start_time + 1).alive()

    def test_a_pid_file_from_before_a_reboot_is_not_ours(self, sleeper: subprocess.Popen[bytes]):
        assert not identity(sleeper.pid, boot_id="another").alive()

    def test_a_zombie_has_ended(self, sleeper: subprocess.Popen[bytes]):
        known = identity(sleeper.pid)
        sleeper.kill()
        os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
        assert not known.alive()

    def test_end_spares_a_process_that_is_not_meant(self, sleeper: subprocess.Popen[bytes]):
        processes.end(identity(sleeper.pid, start_time=1))
        assert sleeper.poll() is None

    def test_end_ends_the_process_that_is_meant(self, sleeper: subprocess.Popen[bytes]):
        processes.end(identity(sleeper.pid))
        assert sleeper.wait(5) != 0

    def test_a_program_name_may_hold_spaces_and_parentheses(self, tmp_path: Path):
        folder = tmp_path / "7"
        folder.mkdir()
        rest = " ".join(str(number) for number in range(4, 60))
        (folder / "stat").write_text(f"7 (a ) S (b) S {rest}")
        assert processes.start_time(7, tmp_path) == 22

    def test_a_damaged_pid_file_names_nobody(self, tmp_path: Path):
        path = tmp_path / "p.json"
        for text in ("", "{", '{"pid": 1}', '{"other": 2}'):
            path.write_text(text)
            assert processes.read_identity(path) is None

    def test_a_node_that_is_a_container_has_a_network_of_its_own(self, tmp_path: Path):
        for pid, net in (("self", "net:[1]"), ("11", "net:[1]"), ("12", "net:[2]")):
            (tmp_path / pid / "ns").mkdir(parents=True)
            (tmp_path / pid / "ns" / "net").symlink_to(net)
        assert [processes.shares_network(pid, tmp_path) for pid in (11, 12, 13)] == [True, False, False]

    def test_orphans_are_found_by_their_mark_alone(self, tmp_path: Path):
        for pid, owner in (("11", "/a"), ("12", "/ab")):
            (tmp_path / pid).mkdir()
            (tmp_path / pid / "environ").write_bytes(f"X=1\0{processes.OWNER}={owner}\0".encode())
            (tmp_path / pid / "stat").write_text(f"{pid} (x) S {' '.join(['1'] * 40)}")
        assert processes.owned_pids(Path("/a"), tmp_path) == [11]


class TestSupervisor:
    def daemon(self, *words: str, **changes: Any) -> processes.Daemon:
        facts = {"ready": lambda: True, "ready_seconds": 5.0, **changes}
        return processes.Daemon("d", [sys.executable, "-c", *words], **facts)

    def test_a_daemon_is_started_once_and_stopped(self, paths: ClusterPaths):
        supervisor = processes.Supervisor(paths)
        sleeping = self.daemon("import time; time.sleep(60)")
        assert supervisor.ensure(sleeping) == ""
        assert supervisor.ensure(sleeping) == "already running"
        supervisor.stop("d")
        assert not supervisor.alive("d")
        assert supervisor.names() == []

    def test_another_configuration_starts_it_again(self, paths: ClusterPaths, tmp_path: Path):
        supervisor, config = processes.Supervisor(paths), tmp_path / "config"
        config.write_text("1")
        sleeping = self.daemon("import time; time.sleep(60)", configs=(config,))
        supervisor.ensure(sleeping)
        before = processes.read_identity(supervisor.pid_file("d"))
        config.write_text("2")
        assert supervisor.ensure(sleeping) == ""
        after = processes.read_identity(supervisor.pid_file("d"))
        supervisor.stop("d")
        assert before is not None
        assert after is not None
        assert before.pid != after.pid

    def test_one_that_ends_at_its_start_shows_its_log(self, paths: ClusterPaths):
        failing = self.daemon("import sys; sys.exit('no such thing')", ready=lambda: False)
        with pytest.raises(StepError, match="ended at its start") as caught:
            processes.Supervisor(paths).ensure(failing)
        assert "no such thing" in caught.value.log

    def test_an_orphan_of_an_interrupted_start_is_ended(self, paths: ClusterPaths):
        supervisor = processes.Supervisor(paths)
        supervisor.ensure(self.daemon("import time; time.sleep(60)"))
        supervisor.pid_file("d").unlink()
        assert wait_until(lambda: len(processes.owned_pids(paths.state)) == 1, 5)
        assert supervisor.end_orphans() == 1
        assert processes.owned_pids(paths.state) == []


class TestDisk:
    def test_too_little_space_is_refused_with_numbers(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
        usage = namedtuple("usage", "total used free")
        monkeypatch.setattr("shutil.disk_usage", lambda _: usage(10 * GIB, 8 * GIB, 2 * GIB))
        require_free(tmp_path / "not" / "yet", 2.0, "a build")
        with pytest.raises(StepError, match=r"a build needs 3\.0 GiB.* 2\.0 GiB free"):
            require_free(tmp_path, 3.0, "a build")


class TestSettings:
    def test_the_default_clusters_have_fixed_places(self):
        assert next(settings.candidates("modelrelease", control_plane=False)) == FIRST
        assert next(settings.candidates("modelrelease", control_plane=True)).slot == 1

    def test_no_two_candidates_overlap(self):
        every = list(settings.candidates("x", control_plane=False))
        ranges = [ipaddress.ip_network(item) for each in every for item in (each.pods, each.services)]
        assert len(set(ranges)) == len(ranges)
        half = every[: settings.SLOTS]
        ports = [port for each in half for port in (*each.ports(), each.registry_port)]
        assert len(set(ports)) == len(ports)
        assert max(ports) < 30000

    def test_existing_routes_are_avoided(self):
        assert settings.overlaps(FIRST, ["172.30.3.0/24"])
        assert settings.overlaps(FIRST, ["172.16.0.0/12"])
        assert not settings.overlaps(FIRST, ["192.0.2.0/24", "172.30.4.0/22", "fd00::/64"])

    def test_the_choice_moves_on_and_is_kept(self, paths: ClusterPaths, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(settings, "existing_routes", lambda: ["172.30.0.0/16"])
        monkeypatch.setattr(settings, "port_free", lambda _: True)
        chosen = settings.choose(paths)
        assert chosen.pods.startswith("10.190.")
        monkeypatch.setattr(settings, "existing_routes", lambda: ["10.0.0.0/8"])
        assert settings.choose(paths) == chosen
        assert paths.registry == chosen.registry

    def test_nothing_free_is_an_error(self, paths: ClusterPaths, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(settings, "existing_routes", list)
        monkeypatch.setattr(settings, "port_free", lambda _: False)
        with pytest.raises(StepError, match="no block"):
            settings.choose(paths)


class TestRendering:
    def test_the_node_answers_at_the_pods_gateway(self, paths: ClusterPaths):
        cni = json.loads(network.cni_configuration(paths, FIRST))
        pool = cni["plugins"][0]["ipam"]["ranges"][0][0]
        assert pool["gateway"] == FIRST.node_ip == "172.30.0.1"
        assert FIRST.node_ip not in (pool["rangeStart"], pool["rangeEnd"])

    def test_the_firewall_closes_the_api_server_to_the_world(self):
        rules = network.ruleset(FIRST)
        assert rules.count(f"tcp dport {FIRST.port('api')} drop") == 2
        assert rules.index("saddr 172.30.0.0/22 accept") < rules.index("drop")

    def test_the_kubelet_keeps_images_and_restarts_at_once(self, paths: ClusterPaths):
        config = kubelet.kubelet_configuration(paths, FIRST)
        assert config["imageGCHighThresholdPercent"] == 100
        assert all(value == "0%" for key, value in config["evictionHard"].items() if "fs" in key)
        assert config["crashLoopBackOff"] == {"maxContainerRestartPeriod": "1s"}
        assert config["featureGates"]["KubeletCrashLoopBackOffMax"]
        assert not config["failCgroupV1"]

    def test_containerd_shares_nothing_with_another(self, paths: ClusterPaths):
        text = containerd.configuration(paths, FIRST)
        for key in ("root", "state"):
            found = re.search(rf'^{key} = "(.+)"$', text, re.MULTILINE)
            assert found is not None
            assert found[1].startswith(str(paths.state))
        assert f'sandbox_image = "{FIRST.registry}/' in text
        assert "restrict_oom_score_adj = true" in text

    def test_the_api_server_listens_to_the_world_only_for_pods(self, paths: ClusterPaths):
        alone = ClusterPaths("unit", control_plane=True)
        assert alone.state != paths.state
        for cluster, bound in ((paths, "0.0.0.0"), (alone, "127.0.0.1")):
            _made_up_kubeconfig(cluster)
            argv = controlplane.api_server(cluster, FIRST).argv
            assert f"--bind-address={bound}" in argv
            assert f"--audit-log-path={cluster.audit_log}" in argv
            assert "--anonymous-auth=false" in argv

    def test_etcd_is_reached_on_loopback_only(self, paths: ClusterPaths):
        urls = [word for word in controlplane.etcd(paths, FIRST).argv if "-urls=" in word]
        assert len(urls) == 4
        assert all("=http://127.0.0.1:" in word for word in urls)

    def test_prometheus_scrapes_ports_named_model_and_annotated_pods(self, paths: ClusterPaths):
        models, pods = prometheus.configuration(paths.pki / "k")["scrape_configs"]
        assert models["relabel_configs"][0]["regex"] == "model"
        assert {"namespace", "pod", "node", "container"} <= {
            rule.get("target_label") for rule in models["relabel_configs"]
        }
        assert pods["relabel_configs"][0]["source_labels"] == [
            "__meta_kubernetes_pod_annotation_prometheus_io_scrape"
        ]

    def test_services_of_the_machine_have_their_endpoints(self):
        _, _, service, endpoints = dns.manifests(FIRST)
        assert service["spec"]["clusterIP"] == FIRST.dns_ip
        assert "selector" not in service["spec"]
        assert endpoints["metadata"]["labels"]["kubernetes.io/service-name"] == "kube-dns"
        assert endpoints["endpoints"][0]["addresses"] == [FIRST.node_ip]

    def test_the_registry_listens_on_loopback(self, paths: ClusterPaths):
        assert "addr: 127.0.0.1:5050" in registry.configuration(paths, FIRST)

    def test_the_simulated_node_is_marked_as_such(self):
        assert simulated.node()["metadata"]["annotations"]["kwok.x-k8s.io/node"] == "fake"

    def test_tokens_are_readable_by_their_owner_only(self, paths: ClusterPaths):
        tokens = pki._tokens(paths)
        assert len(set(tokens.values())) == len(tokens)
        assert (paths.pki / "tokens.csv").stat().st_mode & 0o077 == 0
        assert pki._tokens(paths) == tokens


def _made_up_kubeconfig(paths: ClusterPaths) -> None:
    """Give the client something to read: an authority that openssl made."""
    paths.make()
    pki._key(paths.pki / "ca.key")
    pki._authority(paths.pki)
    paths.kubeconfig.write_text(pki.kubeconfig("https://127.0.0.1:1", paths.pki / "ca.crt", "a", "t"))


# Stands for docker and kind: says what the test tells it to, and writes down what it was asked.
STUB = """\
#!/bin/sh
line="${0##*/} $*"
echo "$line" >> "${0%/*}/asked"
. "${0%/*}/answers"
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Make docker and kind programs that answer as told; the result tells what they were asked."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name in ("docker", "kind"):
        (folder / name).write_text(STUB)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))

    def tell(answers: dict[str, tuple[int, str]]) -> None:
        cases = [
            f"{shlex.quote(begin)}*) printf %s {shlex.quote(text)}; exit {code};;"
            for begin, (code, text) in answers.items()
        ]
        (folder / "answers").write_text("\n".join(['case "$line" in', *cases, "esac"]))

    tell({})
    return tell, lambda: (folder / "asked").read_text().splitlines()


def make(kind: external.Kind) -> None:
    next(step for step in kind.up() if step.title == "kind cluster").action()


class TestKind:
    """What a container engine is asked for; that it and kind do it was seen with real ones."""

    @pytest.fixture
    def kind(self, paths: ClusterPaths, programs: Any):
        paths.settings.write_text(json.dumps(asdict(FIRST)))
        return external.Kind(paths)

    def test_the_addresses_are_those_of_a_cluster_that_root_makes(self):
        config = yaml.safe_load(external.configuration(FIRST))
        (mapping,) = config["nodes"][0]["extraPortMappings"]
        assert prometheus.url(FIRST) == f"http://{mapping['listenAddress']}:{mapping['hostPort']}"
        service = next(each for each in prometheus.in_cluster() if each["kind"] == "Service")
        assert service["spec"]["ports"][0]["nodePort"] == mapping["containerPort"]
        both = (service, *prometheus.manifests(FIRST))
        found = {
            (each["metadata"]["namespace"], each["metadata"]["name"], each["spec"]["ports"][0]["port"])
            for each in both
            if each["kind"] == "Service"
        }
        assert found == {("monitoring", "prometheus", 9090)}

    def test_prometheus_in_a_pod_is_the_pinned_version_with_its_service_account(self):
        major, minor = re.fullmatch(r"prom/prometheus:v(\d+)\.(\d+)\.\d+", prometheus.image()).groups()
        assert binaries.PROMETHEUS.version().split(".")[1] == f"{major}{int(minor):02}"
        config = next(each for each in prometheus.in_cluster() if each["kind"] == "ConfigMap")
        assert "kubeconfig_file" not in config["data"]["prometheus.yml"]

    @pytest.mark.parametrize(
        ("listed", "written", "expected"),
        [
            ("", False, ["kind create"]),
            ("unit\n", True, ["docker start"]),
            ("unit\n", False, ["kind delete", "kind create"]),
            ("", True, ["kind create"]),
        ],
    )
    def test_a_cluster_is_made_kept_or_made_again(
        self, listed: str, written: bool, expected: list[str], kind: external.Kind, programs: Any
    ):
        tell, asked = programs
        tell({"kind get clusters": (0, listed)})
        if written:
            kind.paths.kubeconfig.touch()
        make(kind)
        done = [" ".join(line.split()[:2]) for line in asked()]
        assert [each for each in done if each.endswith((" create", " delete", " start"))] == expected
        assert external.is_kind(kind.paths)

    def test_down_removes_the_state_last_and_keeps_it_when_the_engine_fails(
        self, kind: external.Kind, programs: Any
    ):
        tell, asked = programs
        make(kind)
        tell({"docker rm --force": (1, "Cannot connect")})
        with pytest.raises(StepError, match="docker rm"):
            run_steps(Teardown(kind.paths).steps(purge=False), io.StringIO())
        assert external.is_kind(kind.paths)
        tell({})
        run_steps(Teardown(kind.paths).steps(purge=False), io.StringIO())
        assert not kind.paths.state.exists()
        assert f"docker rm --force --volumes {kind.paths.id}-registry" in asked()

    @pytest.mark.parametrize(
        ("before", "users", "removed"), [(1, "", True), (1, "another\n", False), (0, "", False)]
    )
    def test_the_network_goes_only_if_it_came_with_the_cluster_and_nobody_else_uses_it(
        self, before: int, users: str, removed: bool, kind: Any, programs: Any
    ):
        tell, asked = programs
        tell({"docker network inspect": (before, ""), "docker ps --all": (0, users)})
        make(kind)
        run_steps(kind.down(), io.StringIO())
        assert ("docker network rm kind" in asked()) == removed

    def test_without_kind_the_engine_is_not_touched(self, kind: Any, programs: Any, tmp_path: Path):
        (tmp_path / "programs" / "kind").unlink()
        with pytest.raises(StepError, match="kind is not installed"):
            run_steps(kind.up(), io.StringIO())
        assert not (tmp_path / "programs" / "asked").exists()

    @pytest.mark.parametrize(
        ("able", "info", "expected"),
        [
            ({"root", "buildah"}, 0, False),
            ({"root"}, 0, True),
            ({"buildah"}, 0, True),
            (set(), 0, True),
            (set(), 1, False),
        ],
    )
    def test_an_engine_builds_images_where_buildah_cannot(
        self, able: set[str], info: int, expected: bool, programs: Any, monkeypatch: pytest.MonkeyPatch
    ):
        tell, _ = programs
        tell({"docker info": (info, "")})
        if "buildah" in able:
            Path(os.environ["PATH"], "buildah").symlink_to(sys.executable)
        monkeypatch.setattr(build, "can_run_node", lambda: "root" in able)
        assert build.builds_with_engine() == expected
        if not expected and "root" not in able:
            with pytest.raises(StepError, match="or by a container engine"):
                build.ensure_images(["operator"])


class TestCgroups:
    def test_version_2_has_one_hierarchy(self, tmp_path: Path):
        (tmp_path / "cgroup.controllers").touch()
        (tmp_path / "system.slice").mkdir()
        assert cgroups.hierarchies(tmp_path) == [tmp_path]

    def test_version_1_has_one_for_each_controller(self, tmp_path: Path):
        for name in ("cpu,cpuacct", "memory"):
            (tmp_path / name).mkdir()
        (tmp_path / "cpu").symlink_to("cpu,cpuacct")
        assert [path.name for path in cgroups.hierarchies(tmp_path)] == ["cpu,cpuacct", "memory"]

    def test_the_pods_weigh_what_their_processors_do(self, tmp_path: Path):
        for name in ("cpu.shares", "cpu.weight"):
            (tmp_path / name).touch()
            cgroups.weigh(tmp_path, 2)
        assert [(tmp_path / name).read_text() for name in ("cpu.shares", "cpu.weight")] == ["2048", "79"]
        cgroups.weigh(tmp_path / "memory", 2)  # another controller's group has neither


class TestMounts:
    def test_only_those_below_the_folder_and_the_deepest_first(self):
        lines = [
            f"1 2 0:1 / {point} rw - tmpfs tmpfs rw" for point in ("/s", "/s/a", "/s/a/b\\040c", "/sx", "/")
        ]
        assert mounts_below(Path("/s"), "\n".join(lines)) == ["/s/a/b c", "/s/a", "/s"]


class TestSteps:
    def test_steps_show_number_time_and_note(self):
        out = io.StringIO()
        run_steps([Step("one", lambda: ""), Step("two", lambda: "cached")], out)
        assert re.fullmatch(r"\[1/2\] one … \d+\.\d s\n\[2/2\] two … \d+\.\d s \(cached\)\n", out.getvalue())

    def test_a_failed_step_ends_the_plan_and_says_what_to_do(self):
        out, seen = io.StringIO(), []

        def fail() -> str:
            raise StepError("it broke", "mend it", "last words")

        with pytest.raises(StepError) as caught:
            run_steps([Step("one", fail), Step("two", lambda: seen.append(1) or "")], out)
        report(caught.value, out)
        assert not seen
        assert "failed after" in out.getvalue()
        assert out.getvalue().endswith("    | last words\nerror: it broke\nwhat to do: mend it\n")

    def test_tail_of_nothing_is_nothing(self, tmp_path: Path):
        assert tail(tmp_path / "absent") == ""

    def test_waiting_ends_at_the_deadline(self):
        assert not wait_until(lambda: False, 0.05, 0.01)


class TestFiles:
    def test_a_file_is_written_only_when_it_changes(self, tmp_path: Path):
        path = tmp_path / "deep" / "file"
        assert write_if_changed(path, "1", 0o600)
        assert not write_if_changed(path, "1")
        assert path.stat().st_mode & 0o777 == 0o600
        assert [entry.name for entry in path.parent.iterdir()] == ["file"]

    def test_a_given_kubeconfig_wins(self, paths: ClusterPaths, monkeypatch: pytest.MonkeyPatch):
        assert kubeconfig("unit") == paths.kubeconfig
        monkeypatch.setenv("MODELRELEASE_KUBECONFIG", "/given")
        assert kubeconfig("unit") == Path("/given")

    def test_a_lock_whose_file_was_removed_is_taken_anew(self, tmp_path: Path):
        path = tmp_path / "lock"
        with lock(path):
            path.unlink()
        with lock(path):
            assert path.exists()


class TestMachine:
    def test_the_first_uri_of_the_sources_is_the_mirror(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        sources = tmp_path / "debian.sources"
        sources.write_text(
            "Types: deb\n# a comment\nURIs: http://one.example/debian\nURIs: http://two.example\n"
        )
        monkeypatch.setattr("hack.cluster.base_image.SOURCES", sources)
        assert mirror() == "http://one.example/debian"

    def test_without_root_missing_packages_are_named(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr("shutil.which", lambda _: "/usr/bin/dpkg-query")
        monkeypatch.setattr(packages, "missing", lambda _: ["runc"])
        monkeypatch.setattr("os.geteuid", lambda: 1000)
        with pytest.raises(StepError) as caught:
            packages.ensure(["runc", "openssl"])
        assert caught.value.hint.endswith("apt-get install -y --no-install-recommends runc")

    def test_daemons_are_denied_only_during_the_installation(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        policy = tmp_path / "policy-rc.d"
        monkeypatch.setattr(packages, "POLICY", policy)
        with packages.daemons_denied():
            assert policy.read_text() == packages.DENY
        assert not policy.exists()
        policy.write_text("own")
        with packages.daemons_denied():
            assert policy.read_text() == packages.DENY
        assert policy.read_text() == "own"
