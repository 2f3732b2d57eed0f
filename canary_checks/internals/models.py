"""Runs a transformers model that reads text, and watches it layer by layer. Needs torch and transformers."""

import contextlib
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import pydantic
import torch
import transformers

from canary_checks import failure
from canary_checks.internals import folder as folders
from canary_checks.internals import gathered, loading, reduction, trace, watching

EMBEDDINGS: Final = "embeddings"
HEAD: Final = "head"
_COMPONENT: Final = "model"
_LONGEST: Final = 512
"""Tokens of a prompt that are run."""


class Model:
    """A model of a folder.

    Parameters
    ----------
    folder
        With a ``config.json``, a tokenizer and weights as safetensors.
    machine
        Where and how it runs.

    Raises
    ------
    CheckError
        ``ModelUnreadable``, ``ModelUnsupported`` or ``OutOfMemory``.
    """

    library = trace.Library.TRANSFORMERS

    def __init__(self, folder: pathlib.Path, machine: loading.Machine) -> None:
        self._machine = machine
        said = {"local_files_only": True, "trust_remote_code": False}
        with loading.told("ModelUnreadable", "transformers cannot load the model"):
            self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **said)
            self.model = (
                _kind(folder)
                .from_pretrained(folder, use_safetensors=True, dtype=machine.torch_dtype, **said)
                .to(machine.device)
                .eval()
            )
        self._blocks = _blocks(self.model)
        if not self._blocks:
            raise failure.CheckError(
                "ModelUnsupported", f"a {type(self.model).__name__} has no blocks of attention to watch"
            )

    @property
    def scheduler_config(self) -> Mapping[str, pydantic.JsonValue]:
        """A model of transformers has no scheduler."""
        return {}

    def run(
        self,
        prompts: Sequence[str],
        *,
        seed: int,
        scheduler: str | None = None,
        steps: int | None = None,
        guidance: float | None = None,
        known: trace.Floats | None = None,
    ) -> trace.Trace:
        """Run the model once for each prompt and say what was seen.

        Parameters
        ----------
        prompts
            At least one; each is cut after 512 tokens.
        seed
            Of the first; each other prompt has the next. Only a model that draws would see it.
        scheduler, steps, guidance, known
            Of pipelines; there are none here.

        Raises
        ------
        CheckError
            ``ModelFailed`` or ``OutOfMemory``.
        InterruptedError
            The check was ended.
        """
        assert not any(one is not None for one in (scheduler, steps, guidance, known))
        seen = []
        for row, prompt in enumerate(prompts):
            self._machine.go_on()
            with loading.told("ModelFailed", f"the model failed at prompt {row + 1}"):
                torch.manual_seed(seed + row)
                seen.append(self._one(prompt))
        return trace.Trace(
            library=trace.Library.TRANSFORMERS,
            setting=trace.Setting(scheduler=None, steps=1, guidance=None),
            prompts=tuple(prompts),
            seeds=tuple(seed + row for row in range(len(prompts))),
            dtype=self._machine.dtype,
            versions=self._machine.versions("transformers"),
            attention=gathered.attention(seen),
            stages=gathered.stages(seen),
            latents=gathered.latents(seen, trace.Axis.LAYER),
            tokens=gathered.tokens(seen, {"tokenizer": self.tokenizer}),
            decoded=None,
        )

    def _one(self, prompt: str) -> gathered.Prompt:
        made = gathered.Prompt()
        given = self.tokenizer(prompt, truncation=True, max_length=_LONGEST, return_tensors="pt")
        inputs = {name: value.to(self._machine.device) for name, value in given.items()}
        made.tokens["tokenizer"] = tuple(int(one) for one in inputs["input_ids"][0].tolist())
        if self.model.config.is_encoder_decoder:
            start = self.model.config.decoder_start_token_id or 0
            inputs["decoder_input_ids"] = torch.full((1, 1), start, device=self._machine.device)
        watcher = watching.Watcher({_COMPONENT: self.model})
        with self._watched(made), watcher.watching():
            result = self.model(**inputs)
        made.layers = watcher.layers
        first = watching.tensor(result)
        if first is not None:
            made.stages[HEAD] = (type(self.model).__name__, reduction.output(first[0]))
        return made

    @contextlib.contextmanager
    def _watched(self, made: gathered.Prompt) -> Iterator[None]:
        handles = []
        for name, (path, block) in self._blocks.items():
            handles.append(block.register_forward_pre_hook(_enters(made, path), with_kwargs=True))
            handles.append(block.register_forward_hook(_leaves(made, name, path), with_kwargs=True))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


def _enters(made: gathered.Prompt, path: str) -> Callable[..., None]:
    def hook(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        hidden = _hidden(args, kwargs)
        if EMBEDDINGS not in made.stages and hidden is not None:
            made.stages[EMBEDDINGS] = (path, reduction.output(hidden[0]))

    return hook


def _leaves(made: gathered.Prompt, name: str, path: str) -> Callable[..., None]:
    def hook(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        before, after = _hidden(args, kwargs), watching.tensor(result)
        if after is None or before is None:
            return
        made.stages[name] = (path, reduction.output(after[0]))
        if before.shape == after.shape:
            made.moves(before[0], after[0], channels=False)

    return hook


def _hidden(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return kwargs.get("hidden_states", args[0] if args else None)


def _kind(folder: pathlib.Path) -> Any:
    """Return the class that the configuration names, if transformers has it, else the bare model's."""
    named = folders.config(folder / "config.json").get("architectures") or [None]
    own = getattr(transformers, str(named[0]), None)
    known = isinstance(own, type) and issubclass(own, transformers.PreTrainedModel)
    return own if known else transformers.AutoModel


def _blocks(model: Any) -> dict[str, tuple[str, Any]]:
    """Find the blocks of a model: the members of every list of modules that each hold attention.

    Returns
    -------
    By the stage's name (``block 0`` …; with the list's name before it where there are several lists): path
    and module.
    """
    found: list[tuple[str, Any]] = []
    for path, module in model.named_modules():
        inside = any(path.startswith(f"{above}.") for above, _ in found)
        members = list(module) if isinstance(module, torch.nn.ModuleList) else []
        if members and not inside and all(_attends(one) for one in members):
            found.append((path, members))
    named: dict[str, tuple[str, Any]] = {}
    for path, members in found:
        before = f"{path.rpartition('.')[0]} " if len(found) > 1 else ""
        named |= {f"{before}block {n}": (f"{path}.{n}", one) for n, one in enumerate(members)}
    return named


def _attends(module: Any) -> bool:
    return any(watching.is_attention(one) for one in module.modules())
