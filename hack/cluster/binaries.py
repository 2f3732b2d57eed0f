"""Build the cluster's Go programs from pinned modules, once for each content key."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from hack.cluster.commands import run
from hack.cluster.disk import require_free
from hack.cluster.locks import lock
from hack.cluster.paths import MODULES, cache_dir, content_key
from hack.cluster.steps import Step, StepError

BUILD_SECONDS = 3600.0
GO_HINT = "install Go 1.26 or later and make sure that it can reach its module proxy"


@dataclass(frozen=True)
class Program:
    """A Go program with a module of its own below ``hack/modules``.

    Parameters
    ----------
    name : str
        The module's folder and the program's file name.
    package : str
        What to build: ``.`` or a package of a module that it requires.
    requires : str
        The module whose version is the program's.
    links : tuple of str
        The names under which it is called; its own by default.
    tags : str
        Build tags.
    stamps : tuple of str
        Packages that hold the version as Kubernetes' components do.
    gibibytes : float
        The disk space that the build takes, Go's build cache included.
    module : str
        The module's folder, where it holds several programs.
    """

    name: str
    package: str
    requires: str
    links: tuple[str, ...] = ()
    tags: str = ""
    stamps: tuple[str, ...] = ()
    gibibytes: float = 3.0
    module: str = ""

    @property
    def folder(self) -> Path:
        """The module's folder."""
        return MODULES / (self.module or self.name)

    def version(self) -> str:
        """Return the version that ``go.mod`` pins, or nothing for a program of our own."""
        if not self.requires:
            return ""
        text = (self.folder / "go.mod").read_text(encoding="utf-8")
        found = re.search(rf"^\s*(?:require )?{re.escape(self.requires)} (v\S+)", text, re.MULTILINE)
        if found is None:
            raise StepError(f"{self.folder}/go.mod does not require {self.requires}", "restore the file")
        return found[1]

    def arguments(self) -> list[str]:
        """Return the arguments of ``go build`` that decide what the result is."""
        version = self.version()
        major, minor = version[1:].split(".")[:2] if self.stamps else ("", "")
        stamps = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
        flags = [f"-X {package}.{key}={value}" for package in self.stamps for key, value in stamps.items()]
        return [
            "-mod=readonly",
            "-trimpath",
            f"-tags={self.tags}",
            f"-ldflags={' '.join(['-s', '-w', *flags])}",
        ]

    def key(self) -> str:
        """Return the content key of the result."""
        files = [self.folder / "go.mod", *self.folder.glob("go.sum"), *self.folder.glob("*.go")]
        return content_key(files, go_version(), self.package, *self.arguments())

    def target(self) -> Path:
        """Return the folder of the result, built or not."""
        return cache_dir() / "bin" / self.key()


KUBERNETES = Program(
    "kubernetes",
    ".",
    "k8s.io/kubernetes",
    links=(
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kubelet",
        "kube-proxy",
        "kubectl",
    ),
    stamps=("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"),
    gibibytes=5.0,
)
ETCD = Program("etcd", ".", "go.etcd.io/etcd/server/v3")
KWOK = Program("kwok", "sigs.k8s.io/kwok/cmd/kwok", "sigs.k8s.io/kwok")
COREDNS = Program("coredns", ".", "github.com/coredns/coredns")
PROMETHEUS = Program(
    "prometheus",
    "github.com/prometheus/prometheus/cmd/prometheus",
    "github.com/prometheus/prometheus",
    # Of its service discoveries only Kubernetes' is used; the others link two dozen clouds' SDKs.
    tags="remove_all_sd,enable_kubernetes_sd",
)
PAUSE = Program("pause", ".", requires="", gibibytes=0.2)
FOR_CONTROL_PLANE = (KUBERNETES, ETCD, KWOK)
FOR_NODE = (KUBERNETES, ETCD, PAUSE, COREDNS, PROMETHEUS)
ALL = (KUBERNETES, ETCD, PAUSE, KWOK, COREDNS, PROMETHEUS)


def go_version() -> str:
    """Return the version and target of the Go compiler."""
    found = run(["go", "env", "GOVERSION", "GOOS", "GOARCH"], hint=GO_HINT)
    return "/".join(found.split())


def ensure(program: Program) -> str:
    """Build a program unless its result is there.

    Parameters
    ----------
    program : Program
        What to build.

    Returns
    -------
    str
        A note when there was nothing to do.

    Raises
    ------
    StepError
        If the build fails.
    """
    target = program.target()
    if target.exists():
        return "cached"
    with lock(cache_dir() / "build.lock"):
        if target.exists():
            return "built by another process"
        require_free(cache_dir(), program.gibibytes, f"building {program.name}")
        temporary = target.with_name(f".{target.name}.partial")
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        run(
            ["go", "build", *program.arguments(), "-o", temporary / program.name, program.package],
            hint=f"run `go build {program.package}` in {program.folder} to see more; {GO_HINT}",
            timeout=BUILD_SECONDS,
            cwd=program.folder,
            # GOFLAGS from outside could change the result behind the content key's back.
            env={"CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false", "GOWORK": "off"},
        )
        for link in program.links:
            (temporary / link).symlink_to(program.name)
        temporary.rename(target)
    return ""


def steps(programs: tuple[Program, ...]) -> list[Step]:
    """Return one build step for each program, so that they run one after another."""

    def step(program: Program) -> Step:
        return Step(f"build {program.name} {program.version()}".rstrip(), lambda: ensure(program))

    return [step(program) for program in programs]


def link_into(folder: Path, programs: tuple[Program, ...]) -> str:
    """Show the programs under their names in a cluster's own folder."""
    changed = False
    for program in programs:
        for name in program.links or (program.name,):
            source, link = program.target() / name, folder / name
            if not link.is_symlink() or link.readlink() != source:
                link.unlink(missing_ok=True)
                link.symlink_to(source)
                changed = True
    return "" if changed else "present"
