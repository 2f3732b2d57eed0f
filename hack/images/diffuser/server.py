"""An image generator: a pipeline of diffusers behind the OpenAI images protocol, with the probe endpoint.

It runs whatever pipeline lies in a folder, on a CPU, and draws at the pipeline's own size: the image is then
enlarged to the size that was asked for. Its options are what a team changes between two releases, by intent
or not::

    python server.py --model /models/tiny --scheduler DDIMScheduler --steps 4 --vae-dtype float16

An adapter is a file of safetensors whose tensors are added to the denoiser's weights of the same name; a
release that forgets it draws without.
"""

from __future__ import annotations

import argparse
import base64
import io
import os
import pathlib
import sys
import threading
from collections.abc import Sequence
from typing import Any, Final

import diffusers
import fastapi
import PIL.Image
import safetensors.torch
import torch
import uvicorn

from canary_checks import probe_pipeline, probe_router

DTYPES: Final = ("float32", "float16", "bfloat16")
SIDES: Final = range(8, 2049)
STEPS_MAX: Final = 200


class Generator:
    """A pipeline as it serves; what draws and what the probe tells are the same objects.

    Parameters
    ----------
    folder
        That `from_pretrained` reads.
    scheduler
        A class of diffusers in place of the folder's own, with its configuration.
    steps, guidance
        Where a request names none; None is the pipeline's default.
    vae_dtype
        The type of numbers that latents are decoded with.
    adapter
        A file in the folder whose tensors are added to the denoiser's.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        *,
        scheduler: str | None = None,
        steps: int | None = None,
        guidance: float | None = None,
        vae_dtype: str = "float32",
        adapter: str | None = None,
    ) -> None:
        self.pipeline = diffusers.DiffusionPipeline.from_pretrained(folder, local_files_only=True)
        self.pipeline.set_progress_bar_config(disable=True)
        if scheduler is not None:
            self.pipeline.scheduler = getattr(diffusers, scheduler).from_config(
                self.pipeline.scheduler.config
            )
        self.adapters = {pathlib.Path(adapter).stem: str(folder / adapter)} if adapter else {}
        for file in self.adapters.values():
            add(self.denoiser, safetensors.torch.load_file(file))
        self.pipeline.vae.to(getattr(torch, vae_dtype))
        self.steps, self.guidance = steps, guidance
        # Two drawings at a time would share the scheduler's state.
        self._drawing = threading.Lock()

    @property
    def denoiser(self) -> Any:
        """The network that is asked at every step."""
        parts = self.pipeline.components
        return parts.get("unet") or parts["transformer"]

    def draw(self, prompt: str, seed: int, *, steps: int | None, guidance: float | None) -> PIL.Image.Image:
        """Draw an image at the pipeline's own size.

        Parameters
        ----------
        prompt, seed
            The same ones give the same image.
        steps, guidance
            Of the request; None is the server's.
        """
        said = {
            "num_inference_steps": steps if steps is not None else self.steps,
            "guidance_scale": guidance if guidance is not None else self.guidance,
        }
        with self._drawing, torch.inference_mode():
            latents = self.pipeline(
                prompt,
                generator=torch.Generator().manual_seed(seed),
                output_type="latent",
                **{name: value for name, value in said.items() if value is not None},
            ).images
            return self._decoded(latents)

    def _decoded(self, latents: torch.Tensor) -> PIL.Image.Image:
        # By itself a pipeline decodes with the type of its latents: here the decoder may have one of its own.
        vae = self.pipeline.vae
        scaled = latents / vae.config.scaling_factor + (getattr(vae.config, "shift_factor", None) or 0.0)
        decoded = vae.decode(scaled.to(vae.dtype), return_dict=False)[0]
        image: PIL.Image.Image = self.pipeline.image_processor.postprocess(decoded.float())[0]
        return image

    def info(self) -> dict[str, Any]:
        """Return what the probe endpoint tells of the pipeline."""
        return probe_pipeline.describe(
            self.pipeline, steps=self.steps, guidance_scale=self.guidance, adapters=self.adapters
        )

    @property
    def tokenizers(self) -> list[str]:
        """The names of the pipeline's tokenizers."""
        return sorted(name for name in self.pipeline.components if name.startswith("tokenizer"))

    def tokens(self, name: str, text: str) -> list[int]:
        """Return what a tokenizer makes of a prompt, cut and filled up as the pipeline does."""
        tokenizer = self.pipeline.components[name]
        cut = {"padding": "max_length", "truncation": True, "max_length": tokenizer.model_max_length}
        return list(tokenizer(text, **cut).input_ids)


def add(denoiser: Any, deltas: dict[str, torch.Tensor]) -> None:
    """Add the tensors of an adapter to the weights of the same name.

    Raises
    ------
    ValueError
        A tensor belongs to no weight.
    """
    weights = dict(denoiser.named_parameters())
    unknown = sorted(set(deltas) - set(weights))
    if unknown:
        raise ValueError(f"the adapter has a tensor {unknown[0]}, which the denoiser has not")
    with torch.no_grad():
        for name, delta in deltas.items():
            weights[name] += delta


def create_app(generator: Generator) -> fastapi.FastAPI:
    """Make the server."""
    app = fastapi.FastAPI(openapi_url=None)

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/v1/models")
    def models() -> dict[str, Any]:
        return {"object": "list", "data": [{"id": "diffuser", "object": "model"}]}

    # Not async: a drawing runs in a thread of its own, and the server answers meanwhile.
    @app.post("/v1/images/generations")
    def generations(fields: dict[str, Any] = fastapi.Body()) -> dict[str, Any]:  # noqa: B008 - FastAPI's way
        try:
            asked, size = _asked(fields)
        except (KeyError, TypeError, ValueError) as error:
            raise fastapi.HTTPException(400, f"{type(error).__name__}: {error}") from error
        image = generator.draw(**asked)
        content = io.BytesIO()
        (image if size is None else image.resize(size)).save(content, "PNG", compress_level=1)
        return {"created": 0, "data": [{"b64_json": base64.b64encode(content.getvalue()).decode()}]}

    stages = {f"text.{name.replace('tokenizer', 'tokens')}": name for name in generator.tokenizers}
    app.include_router(
        probe_router.probe_router(
            {"generation": generator.info},
            {stage: _step(generator, name) for stage, name in stages.items()},
        )
    )
    return app


def _step(generator: Generator, tokenizer: str) -> probe_router.Stage:
    return lambda item: generator.tokens(tokenizer, item["text"])


def _asked(fields: dict[str, Any]) -> tuple[dict[str, Any], tuple[int, int] | None]:
    """Read a request: what to draw, and the size to enlarge it to."""
    steps, guidance = fields.get("num_inference_steps"), fields.get("guidance_scale")
    asked = {
        "prompt": str(fields["prompt"]),
        "seed": int(fields.get("seed", 0)),
        "steps": int(steps) if steps is not None else None,
        "guidance": float(guidance) if guidance is not None else None,
    }
    if steps is not None and not 1 <= int(steps) <= STEPS_MAX:
        raise ValueError(f"num_inference_steps must be 1 to {STEPS_MAX}")
    if "size" not in fields:
        return asked, None
    width, _, height = str(fields["size"]).partition("x")
    if int(width) not in SIDES or int(height) not in SIDES:
        raise ValueError(f"a side has {SIDES[0]} to {SIDES[-1]} pixels")
    return asked, (int(width), int(height))


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until somebody ends it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--host", default="0.0.0.0")  # noqa: S104 - in its container
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument(
        "--model", type=pathlib.Path, default=pathlib.Path(os.environ.get("MODEL_DIR", "/models/tiny"))
    )
    parser.add_argument("--scheduler")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--guidance", type=float)
    parser.add_argument("--vae-dtype", choices=DTYPES, default=DTYPES[0])
    parser.add_argument("--adapter")
    chosen = vars(parser.parse_args(arguments))
    host, port, folder = chosen.pop("host"), chosen.pop("port"), chosen.pop("model")
    uvicorn.run(create_app(Generator(folder, **chosen)), host=host, port=port, access_log=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
