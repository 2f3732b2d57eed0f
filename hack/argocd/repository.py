"""A Git repository on this machine, that Argo CD reads as it reads any other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hack.cluster.commands import run

BRANCH = "main"
PERSON = {
    "GIT_AUTHOR_NAME": "A team",
    "GIT_AUTHOR_EMAIL": "team@example.invalid",
    "GIT_COMMITTER_NAME": "A team",
    "GIT_COMMITTER_EMAIL": "team@example.invalid",
    # Nothing of the machine's own settings: no signing, no hooks, no templates.
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
}
HINT = "read what git said"


class Repository:
    """A work tree whose branch Argo CD follows by its path.

    Parameters
    ----------
    folder : Path
        Where it is, or will be.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def url(self) -> str:
        """What an Application names as its source."""
        return f"file://{self.folder}"

    def git(self, *arguments: str) -> str:
        """Run git in the repository."""
        return run(["git", *arguments], hint=HINT, cwd=self.folder, env=PERSON).strip()

    def ensure(self) -> None:
        """Make it, unless it is there."""
        if (self.folder / ".git").exists():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        self.git("init", "--quiet", f"--initial-branch={BRANCH}")
        self.git("commit", "--quiet", "--allow-empty", "--message=Begin")

    def commit(self, files: Mapping[str, str], message: str) -> str:
        """Write files, commit them and return the commit."""
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", f"--message={message}")
        return self.head()

    def revert(self) -> str:
        """Revert the last commit, as a person does who wants the old state back; return the new commit."""
        self.git("revert", "--no-edit", "HEAD")
        return self.head()

    def head(self) -> str:
        """Return the latest commit."""
        return self.git("rev-parse", "HEAD")
