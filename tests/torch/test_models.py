"""What hooks see of transformers models is what the models tell themselves."""

import json
import shutil

import numpy as np
import pytest
import torch
import transformers

from canary_checks import failure
from canary_checks.internals import comparison, judging, models, trace
from hack.faults.generators import pipelines as makers

PROMPTS = makers.PROMPTS[:2]


@pytest.fixture(scope="module")
def known(folders, machine):
    return {
        name: models.Model(folders[name], machine).run(PROMPTS, seed=0)
        for name in ("text-encoder", "language-model")
    }


def told(folder, causal):
    """Run the model with the outputs that transformers itself offers."""
    kind = transformers.AutoModelForCausalLM if causal else transformers.AutoModel
    model = kind.from_pretrained(folder, attn_implementation="eager").eval()
    tokens = transformers.AutoTokenizer.from_pretrained(folder)(PROMPTS[0], return_tensors="pt")
    with torch.no_grad():
        return model(**tokens, output_attentions=True, output_hidden_states=True)


def entropy(p, causal):
    p = p[0].double().numpy()
    bits = -np.where(p > 0, p * np.log(np.maximum(p, 1e-300)), 0).sum(-1)
    if not causal:
        return float((bits / np.log(p.shape[-1])).mean())
    # A query of a causal model has as many keys as its place; the first has one and says nothing.
    return float((bits[:, 1:] / np.log(np.arange(2, p.shape[-1] + 1))).mean())


@pytest.mark.parametrize(("name", "causal"), [("text-encoder", False), ("language-model", True)])
def test_attention_and_layers_are_what_the_model_tells(known, folders, name, causal):
    seen, wanted = known[name], told(folders[name], causal)
    assert [one.entropy[0, 0] for one in seen.attention] == pytest.approx(
        [entropy(p, causal) for p in wanted.attentions], abs=1e-5
    )
    assert [one.name for one in seen.stages] == ["embeddings", *(f"block {n}" for n in range(4)), "head"]
    hidden = [float(one.norm()) for one in wanted.hidden_states]
    # What transformers tells as the last layer comes after the final norm.
    assert [one.norm[0] for one in seen.stages[:4]] == pytest.approx(hidden[:4], rel=1e-5)
    assert seen.stages[-1].norm[0] == pytest.approx(float(wanted[0].norm()), rel=1e-5)
    assert seen.latents.axis is trace.Axis.LAYER
    moved = float((wanted.hidden_states[1] - wanted.hidden_states[0]).norm()) / hidden[0]
    assert seen.latents.distance[0, 0] == pytest.approx(moved, rel=1e-5)


def test_a_changed_layer_is_the_first_stage_that_breaks(known, folders, machine):
    loaded = models.Model(folders["text-encoder"], machine)
    with torch.no_grad():
        loaded.model.encoder.layer[2].attention.self.query.weight *= 3
    found = comparison.compare(loaded.run(PROMPTS, seed=0), known["text-encoder"])
    assert judging.first_broken(found, "fp32")[0] == "block 2"
    value, place = found.entropy_worst()
    assert place.name == "model.encoder.layer.2.attention.self"
    assert value > 0.05


def test_pickled_weights_and_code_of_its_own_are_not_loaded(folders, tmp_path, machine):
    source = folders["text-encoder"]
    model = transformers.AutoModel.from_pretrained(source)
    shutil.copytree(source, tmp_path / "pickled", ignore=shutil.ignore_patterns("*.safetensors"))
    torch.save(model.state_dict(), tmp_path / "pickled/pytorch_model.bin")
    with pytest.raises(failure.CheckError, match="transformers cannot load the model"):
        models.Model(tmp_path / "pickled", machine)
    shutil.copytree(source, tmp_path / "coded")
    config = json.loads((source / "config.json").read_text())
    config |= {
        "model_type": "own",
        "architectures": ["M"],
        "auto_map": {"AutoConfig": "own.C", "AutoModel": "own.M"},
    }
    (tmp_path / "coded/config.json").write_text(json.dumps(config))
    (tmp_path / "coded/own.py").write_text("raise SystemExit('the code of a model ran')")
    with pytest.raises(failure.CheckError, match="transformers cannot load the model"):
        models.Model(tmp_path / "coded", machine)


def test_weights_cut_short_are_one_sentence(folders, tmp_path, machine):
    shutil.copytree(folders["text-encoder"], tmp_path / "short")
    weights = tmp_path / "short/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(failure.CheckError) as caught:
        models.Model(tmp_path / "short", machine)
    assert caught.value.reason == "ModelUnreadable"
    assert "\n" not in caught.value.message
