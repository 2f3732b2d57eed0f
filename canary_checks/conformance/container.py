"""A check as it is run here: by a container engine as in a cluster, or as a process on this machine."""

import dataclasses
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from typing import IO, Final, Protocol

from canary_checks import failure

TERMINATION_LOG: Final = "/dev/termination-log"
MESSAGE_BYTES_MAX: Final = 4096
"""As much of a termination message as Kubernetes keeps."""
_LOG_TAIL_BYTES: Final = 2048
_GRACE_SECONDS: Final = 10
_ENGINES: Final = ("docker", "podman")
_PULL_SECONDS: Final = 600
_ENGINE_FAILED: Final = frozenset({125, 126, 127})
"""What both engines exit with when they could not start the container, or its command."""


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a container ended.

    Attributes
    ----------
    message
        What Kubernetes would report: the termination message, or the end of the log of one that failed
        without.
    exit_code
        None where it was ended from outside.
    """

    message: str
    exit_code: int | None


class Runner(Protocol):
    """Runs a check once."""

    def run(self, environment: Mapping[str, str], seconds: float) -> Ended:
        """Run it with this environment for at most so long."""
        ...

    def termination_log(self) -> str:
        """Return where the check writes its result, as it sees it."""
        ...


class Process:
    """The check as a process of this machine: the contract is tested, the image is not."""

    def __init__(self, command: Sequence[str], folder: pathlib.Path) -> None:
        self._command = list(command)
        self._log = folder / "termination-log"

    def termination_log(self) -> str:
        return str(self._log)

    def run(self, environment: Mapping[str, str], seconds: float) -> Ended:
        self._log.write_bytes(b"")
        return _run(self._command, dict(os.environ) | dict(environment), seconds, self._log)


class Engine:
    """The check's image, hardened as in the cluster, on the network of this machine."""

    def __init__(
        self,
        program: str,
        image: str,
        arguments: Sequence[str],
        folder: pathlib.Path,
        user: int | None = None,
    ) -> None:
        self._program, self._image, self._arguments = program, image, list(arguments)
        self._log, self._user = folder / "termination-log", user

    def termination_log(self) -> str:
        return TERMINATION_LOG

    def command(self, environment: Mapping[str, str], name: str) -> list[str]:
        """Return the engine's command line; the values of variables stay out of it."""
        return [
            *(self._program, "run", "--rm", "--name", name, "--network", "host", "--read-only"),
            *("--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),  # noqa: S108
            *(("--user", str(self._user)) if self._user is not None else ()),
            *("--volume", f"{self._log}:{TERMINATION_LOG}"),
            *(word for variable in sorted(environment) for word in ("--env", variable)),
            self._image,
            *self._arguments,
        ]

    def run(self, environment: Mapping[str, str], seconds: float) -> Ended:
        self._log.write_bytes(b"")
        # The container's user is not this one.
        self._log.chmod(0o666)
        name = f"modelrelease-conformance-{uuid.uuid4().hex[:12]}"
        try:
            ended = _run(
                self.command(environment, name), dict(os.environ) | dict(environment), seconds, self._log
            )
        finally:
            # The client may be gone and its container not.
            subprocess.run(  # noqa: S603 - the engine that was found
                [self._program, "rm", "--force", name], capture_output=True, check=False
            )
        if ended.exit_code in _ENGINE_FAILED:
            raise failure.CheckError(
                "CheckNotStarted", f"{self._program} could not start the check: {ended.message}"
            )
        return ended

    def user(self) -> str:
        """Return the user of the image, pulling it first where it is not here.

        Raises
        ------
        CheckError
            ``CheckNotStarted``: there is no such image.
        """
        asked = [self._program, "image", "inspect", "--format", "{{.Config.User}}", self._image]
        found = self._ask(asked)
        if found.returncode:
            pulled = self._ask([self._program, "pull", "--quiet", self._image])
            found = self._ask(asked) if not pulled.returncode else pulled
        if found.returncode:
            raise failure.CheckError("CheckNotStarted", f"there is no image {self._image}: {found.stderr}")
        return str(self._user) if self._user is not None else found.stdout.strip()

    @staticmethod
    def _ask(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(  # noqa: S603 - the engine that was found
                command, capture_output=True, check=False, text=True, timeout=_PULL_SECONDS
            )
        except subprocess.TimeoutExpired as error:
            raise failure.CheckError(
                "CheckNotStarted", f"{command[0]} did not answer within {_PULL_SECONDS} s"
            ) from error


def is_root(user: str) -> bool:
    """Return whether a user as an image names it is root, or a name that Kubernetes cannot verify."""
    name = user.partition(":")[0]
    return not re.fullmatch(r"[0-9]+", name) or int(name) == 0


def engine() -> str | None:
    """Return the program of the container engine of this machine, or None."""
    return next((found for name in _ENGINES if (found := shutil.which(name)) is not None), None)


def _run(command: Sequence[str], environment: Mapping[str, str], seconds: float, log: pathlib.Path) -> Ended:
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(  # noqa: S603 - the command of whoever asks
                command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
        except OSError as error:
            raise failure.CheckError(
                "CheckNotStarted", f"{command[0]} could not be started: {error.strerror or error}"
            ) from error
        code = _wait(process, seconds)
        with log.open("rb") as written:
            message = written.read(MESSAGE_BYTES_MAX)
        if not message and code != 0:
            message = _tail(output)
    return Ended(message.decode("utf-8", "replace"), code)


def _wait(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    """Return the exit code, or None after ending what does not end, as Kubernetes does it."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.terminate()
    try:
        process.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    return None


def _tail(output: IO[bytes]) -> bytes:
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - _LOG_TAIL_BYTES))
    return output.read()
