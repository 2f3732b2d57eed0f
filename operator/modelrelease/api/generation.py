"""What a generator is stated to draw or write with: fields that a served process must tell so."""

from typing import Annotated, Any, Final

import pydantic

from modelrelease.api import base
from modelrelease.api import preprocess as preprocesses

_COMPONENTS: Final = 12
_SETTINGS: Final = 16
_OTHERS: Final = 32

Value = Annotated[str, pydantic.Field(max_length=256)]
Settings = Annotated[dict[str, Value], pydantic.Field(min_length=1, max_length=_SETTINGS)]
"""Of one component, by its own names; a number, a truth value or a list is written as in JSON."""


class Latent(base.ApiModel):
    """The latents."""

    channels: Annotated[int, pydantic.Field(ge=1, le=4096)] | None = None
    size: Annotated[int, pydantic.Field(ge=1, le=65_536)] | None = None
    """Their default width and height."""
    pixels: Annotated[int, pydantic.Field(ge=1, le=1024)] | None = None
    """How many pixels of an image one of them is wide."""


class Adapter(base.ApiModel):
    """Weights that are added to a component, such as a LoRA."""

    name: Annotated[str, pydantic.Field(min_length=1, max_length=63, pattern=base.DATA_KEY)]
    digest: base.Digest | None = None
    """Of its file."""
    active: bool | None = None


class Generation(base.ApiModel):
    """Fields of the generation contract, as the probe endpoint names them; what is not set is free."""

    pipeline: preprocesses.Word | None = None
    """Its class."""
    steps: Annotated[int, pydantic.Field(ge=1, le=10_000)] | None = None
    guidance_scale: base.DecimalString | None = None
    prompt_template: preprocesses.Text | None = None
    negative_prompt: preprocesses.Text | None = None
    latent: Latent | None = None
    components: (
        Annotated[dict[str, Settings], pydantic.Field(min_length=1, max_length=_COMPONENTS)] | None
    ) = None
    """By name: scheduler, vae, unet, transformer, text_encoder, text_encoder_2, tokenizer and so on."""
    adapters: (
        Annotated[list[Adapter], base.ListMap(("name",)), pydantic.Field(min_length=1, max_length=8)] | None
    ) = None
    other: Annotated[dict[str, Value], pydantic.Field(min_length=1, max_length=_OTHERS)] | None = None
    """Fields that this API has no name for; a number or a truth value is written as in JSON."""

    def pins(self) -> dict[str, Any]:
        """Return what is pinned, by the dotted name under which a process tells it."""
        said: dict[str, Any] = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        found: dict[str, Any] = dict(said.pop("other", {}))
        for name, settings in said.pop("components", {}).items():
            found |= {f"{name}.{key}": value for key, value in settings.items()}
        for adapter in said.pop("adapters", []):
            name = adapter.pop("name")
            found |= {f"adapters.{name}.{key}": value for key, value in adapter.items()}
        found |= {f"latent.{key}": value for key, value in said.pop("latent", {}).items()}
        return found | said
