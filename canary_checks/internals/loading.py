"""What a model is run with: device, type of numbers, and how its failures are told. Needs torch."""

import contextlib
import dataclasses
import importlib
import importlib.util
import os
import threading
from collections.abc import Iterator
from typing import Any, Final

import torch

from canary_checks import failure
from canary_checks import vocabulary as v

_DTYPES: Final = {
    v.NumericClass.FP32: "float32",
    v.NumericClass.TF32: "float32",
    v.NumericClass.FP16: "float16",
}
"""Others are run in bfloat16: what a server quantises when it loads a model is not quantised here."""


@dataclasses.dataclass(frozen=True)
class Machine:
    """Where a model runs and in which numbers; `stop` ends it at the next step."""

    device: str
    dtype: str
    stop: threading.Event

    @property
    def torch_dtype(self) -> Any:
        return getattr(torch, self.dtype)

    def versions(self, *libraries: str) -> dict[str, str]:
        """Return what ran the model."""
        name = torch.cuda.get_device_name() if self.device == "cuda" else "cpu"
        found = {one: str(importlib.import_module(one).__version__) for one in ("torch", *libraries)}
        return found | {"device": v.sentence(name, 64)}

    def go_on(self) -> None:
        """Let the model run on, unless the check was ended.

        Raises
        ------
        InterruptedError
            It was.
        """
        if self.stop.is_set():
            raise InterruptedError("the check was ended")


def machine(numeric_class: v.NumericClass, stop: threading.Event) -> Machine:
    """Choose the device, and set torch so that the same input gives the same numbers."""
    # Nothing is fetched, whatever a configuration names.
    os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    for library in ("diffusers", "transformers"):
        if importlib.util.find_spec(library) is not None:
            said = importlib.import_module(f"{library}.utils.logging")
            said.set_verbosity_error()
            said.disable_progress_bar()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    rounded = numeric_class is v.NumericClass.TF32
    torch.set_float32_matmul_precision("high" if rounded else "highest")
    torch.backends.cudnn.allow_tf32 = rounded
    torch.backends.cudnn.benchmark = False
    return Machine(device, _DTYPES.get(numeric_class, "bfloat16"), stop)


@contextlib.contextmanager
def told(reason: str, what: str) -> Iterator[None]:
    """Turn what a library raises into one sentence.

    Raises
    ------
    CheckError
        With the given reason, or ``OutOfMemory``.
    """
    try:
        yield
    except (failure.CheckError, InterruptedError):
        raise
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise failure.CheckError("OutOfMemory", f"{what}: the memory does not suffice") from error
    except Exception as error:
        raise failure.CheckError(reason, f"{what}: {type(error).__name__}: {error}") from error
