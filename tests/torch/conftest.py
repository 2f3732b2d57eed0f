"""Real models, small and with random weights; torch, diffusers and transformers lie in their own folder."""

import os
import pathlib
import sys
import threading

import pytest

from hack import torch_environment

# Before anything imports torch.
sys.path.append(str(torch_environment.folder()))
os.environ["HF_HUB_OFFLINE"] = "1"

import torch

from canary_checks import vocabulary as v
from canary_checks.internals import loading, pipelines
from hack.faults.generators import pipelines as makers

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def folders(tmp_path_factory) -> dict[str, pathlib.Path]:
    """One folder for each kind of model."""
    below = tmp_path_factory.mktemp("models")
    return {name: make(below / name) for name, make in makers.MAKERS.items()}


@pytest.fixture(scope="session")
def machine() -> loading.Machine:
    return loading.machine(v.NumericClass.FP32, threading.Event())


@pytest.fixture
def diffusion(folders, machine) -> pipelines.Pipeline:
    """Stable Diffusion, loaded anew: a test may break it."""
    return pipelines.Pipeline(folders["stable-diffusion"], machine)
