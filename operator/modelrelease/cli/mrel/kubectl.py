"""Talk to the cluster by kubectl itself: any context, any way to log in, its own words when it may not."""

import contextlib
import dataclasses
import json
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from modelrelease.cli.mrel import clock, port

_CALL_SECONDS: Final = 30.0
_LOG_LINE: Final = re.compile(r"^[EWIF]\d{4} \d\d:\d\d:\d\d")
"""What client-go logs before kubectl says the same in a sentence."""
_PREFIX: Final = re.compile(r"^(?:[Ee]rror from server(?: \(\w+\))?|[Ee]rror): ")
_AGAIN_SECONDS: Final = 2.0


@dataclasses.dataclass(slots=True)
class Kubectl:
    """A cluster behind kubectl.

    Parameters
    ----------
    options
        What chooses the cluster and the namespace: ``--context``, ``-n``, ``--kubeconfig``.
    program
        kubectl's name or path.
    seconds
        How long the API server may take to answer.
    """

    options: tuple[str, ...] = ()
    program: str = "kubectl"
    seconds: float = _CALL_SECONDS
    _children: set[subprocess.Popen[str]] = dataclasses.field(default_factory=set, init=False)
    _closed: bool = dataclasses.field(default=False, init=False)

    def get(self, kind: str, name: str) -> port.Object:
        return self._object("get", kind, name, "-o", "json", "--show-managed-fields")

    def select(
        self, kinds: Sequence[str], selector: str = "", *, everywhere: bool = False
    ) -> list[port.Object]:
        chosen = [*(("-l", selector) if selector else ()), *(("-A",) if everywhere else ())]
        return list(self._object("get", ",".join(kinds), "-o", "json", *chosen).get("items") or ())

    def events(self, involved: str) -> list[port.Object]:
        about = f"involvedObject.name={involved}"
        found = self._object("get", port.EVENTS, "-o", "json", f"--field-selector={about}")
        return list(found.get("items") or ())

    def apply(self, obj: Mapping[str, Any], manager: str, *, dry_run: bool = False) -> port.Object:
        # Somebody on call has the last word about a field that another manager set, such as an earlier pause.
        command = ("apply", "--server-side", f"--field-manager={manager}", "--force-conflicts", "-f", "-")
        return self._object(*command, "-o", "json", *_dry(dry_run=dry_run), stdin=json.dumps(obj))

    def patch(
        self,
        kind: str,
        name: str,
        operations: Sequence[Mapping[str, Any]],
        manager: str,
        *,
        dry_run: bool = False,
    ) -> port.Object:
        said = ("--type=json", "-p", json.dumps(list(operations)), f"--field-manager={manager}")
        return self._object("patch", kind, name, *said, "-o", "json", *_dry(dry_run=dry_run))

    def watch(self, kind: str, *, name: str = "", selector: str = "") -> Iterator[port.Change]:
        # As a list of one: asked for a name, kubectl leaves out the first event of its watch, taking it for
        # the object that it has just shown, and what changed in between is never told.
        one = (f"--field-selector=metadata.name={name}",) if name else ()
        chosen = [*one, *(("-l", selector) if selector else ())]
        while not self._closed:
            command = self._command("get", kind, *chosen, "--watch", "--output-watch-events", "-o", "json")
            said = ""
            with self._started(command) as process:
                try:
                    assert process.stdout is not None
                    for event in documents(process.stdout):
                        yield port.Change(str(event.get("type")), event.get("object") or {})
                finally:
                    # The caller is done with it, or kubectl is: either way nothing of it stays behind.
                    if process.poll() is None:
                        process.terminate()
                    said = process.stderr.read() if process.stderr is not None else ""
            # A server ends every watch some time; what it says when it refuses one is worth showing.
            yield port.Change("LOST", {}, str(_failure(said)) if said.strip() else "")
            clock.sleep(_AGAIN_SECONDS)

    def close(self) -> None:
        self._closed = True
        for process in list(self._children):
            process.terminate()

    # --- Running it ----------------------------------------------------------------------------------------

    def _command(self, *arguments: str) -> list[str]:
        return [self.program, *arguments, *self.options]

    @contextlib.contextmanager
    def _started(self, command: list[str]) -> Iterator[subprocess.Popen[str]]:
        try:
            process = subprocess.Popen(  # noqa: S603 - kubectl, with a list of arguments
                command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
        except OSError as error:
            raise _no_kubectl(self.program, error) from error
        self._children.add(process)
        try:
            with process:
                yield process
        finally:
            self._children.discard(process)

    def _object(self, *arguments: str, stdin: str | None = None) -> port.Object:
        command = self._command(*arguments, f"--request-timeout={self.seconds:.0f}s")
        try:
            done = subprocess.run(  # noqa: S603 - kubectl, with a list of arguments
                command, input=stdin, capture_output=True, text=True, timeout=2 * self.seconds, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise port.Failed(f"kubectl {arguments[0]} gave no answer in {2 * self.seconds:.0f} s") from error
        except OSError as error:
            raise _no_kubectl(self.program, error) from error
        if done.returncode != 0:
            raise _failure(done.stderr)
        try:
            found = json.loads(done.stdout) if done.stdout.strip() else {}
        except ValueError as error:
            raise port.Failed(f"kubectl {arguments[0]} answered with something that is not JSON") from error
        return found if isinstance(found, dict) else {}


def _dry(*, dry_run: bool) -> tuple[str, ...]:
    return ("--dry-run=server",) if dry_run else ()


def documents(lines: Iterator[str] | Any) -> Iterator[Mapping[str, Any]]:
    """Yield the JSON objects of a stream; each ends with a line ``}``, as kubectl prints them."""
    collected: list[str] = []
    for line in lines:
        collected.append(line)
        if line.rstrip("\n") != "}" and not (len(collected) == 1 and line.rstrip().endswith("}")):
            continue
        try:
            found = json.loads("".join(collected))
        except ValueError:
            continue
        collected.clear()
        if isinstance(found, dict):
            yield found


# --- What it says when it fails -----------------------------------------------------------------------------


def _no_kubectl(program: str, error: OSError) -> port.Failed:
    return port.Failed(
        f"{program} can't be started ({error.strerror}): install kubectl, and have it on the PATH"
    )


def _failure(stderr: str) -> port.Failed:
    """Return kubectl's error in its own words: it names the verb and the resource that are forbidden."""
    lines = [line for line in stderr.splitlines() if line.strip() and not _LOG_LINE.match(line)]
    text = " ".join(_PREFIX.sub("", line).strip() for line in lines) or "kubectl failed and did not say why"
    if "(NotFound)" in stderr:
        return port.NotFound(text)
    if "(Conflict)" in stderr or "the object has been modified" in stderr:
        return port.Conflict(text)
    if "doesn't have a resource type" in stderr or "no matches for kind" in stderr:
        return port.Failed(
            f"{text}: the cluster does not serve {port.RELEASES}, which this plugin speaks; `kubectl get crd "
            "modelreleases.modelrelease.dev -o jsonpath='{.spec.versions[*].name}'` tells what it serves, if "
            "ModelRelease is installed there at all"
        )
    return port.Failed(text)
