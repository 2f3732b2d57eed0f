"""The model's files: where they are, and how it is known that they are the ones that were meant."""

import re
from typing import Annotated, Final

import pydantic

from modelrelease.api import base

MOUNTED: Final = ("pvc://", "image://")
PULLED: Final = "hf://"
MOUNT_PATH_DEFAULT: Final = "/models"
_COMMIT: Final = re.compile(r"@[0-9a-f]{40}$")

FileName = Annotated[str, pydantic.Field(min_length=1, max_length=128, pattern=base.RELATIVE_PATH)]
"""A file of the artifact, by its path below the folder."""
FileNames = Annotated[list[FileName], base.ListSet(), pydantic.Field(min_length=1, max_length=16)]


class Artifact(base.ApiModel):
    """The model's files."""

    uri: Annotated[str, pydantic.Field(min_length=1, max_length=512, pattern=base.ARTIFACT_URI)]
    """pvc://claim/path and image://name@sha256:… are mounted; hf://name@commit is pulled by the server."""
    digest: base.Digest | None = None
    """Of what is mounted: no server starts on other files. `canary_checks artifact digest` prints it."""
    mount_path: Annotated[str, pydantic.Field(max_length=253, pattern=base.FOLDER)] | None = None
    """Where it is mounted, in every container as MODEL_DIR; by default /models."""

    @property
    def mounted(self) -> bool:
        """Whether the pods mount it; else the server pulls it by name."""
        return self.uri.startswith(MOUNTED)

    @property
    def folder(self) -> str:
        """Where the pods mount it."""
        return self.mount_path or MOUNT_PATH_DEFAULT

    @property
    def location(self) -> tuple[str, str]:
        """The claim or image of what is mounted, and the path in a claim."""
        scheme, _, rest = self.uri.partition("://")
        if scheme == "image":
            return rest, ""
        claim, _, path = rest.partition("/")
        return claim, path

    @property
    def pinned(self) -> bool:
        """Whether the URI or the digest says which files: else other ones can come under the same name."""
        return self.digest is not None or "@sha256:" in self.uri or _COMMIT.search(self.uri) is not None

    def identity(self) -> dict[str, str]:
        """Return what of it is part of the revision: everything, because everything is rendered."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)
