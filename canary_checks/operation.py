"""How to ask a model server: one operation of its endpoint, with what its protocol needs to know."""

import re
from typing import Annotated

import pydantic

from canary_checks import vocabulary as v

_PATHS = {v.Protocol.OPENAI_EMBEDDINGS: "/v1/embeddings"}


class Operation(v.Model):
    """One way of asking a model."""

    name: v.Name
    protocol: v.Protocol
    modality: v.Modality = v.Modality.TEXT
    path: Annotated[str, pydantic.StringConstraints(pattern=r"^/[!-~]{0,255}$")] | None = None
    """None for the protocol's own."""
    model: Annotated[str, pydantic.StringConstraints(pattern=r"^[ -~]{1,253}$")] | None = None
    """The served model's name; None for the first one that the server lists, where it lists any."""

    def endpoint(self, url: str) -> str:
        """Return the URL to POST to on a server with the base URL `url`."""
        return re.sub(r"/+$", "", url) + (self.path or _PATHS[self.protocol])
