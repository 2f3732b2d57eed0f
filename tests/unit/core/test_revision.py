"""Identity, names and digests; what a template refers to."""

import copy
import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from modelrelease.api import base, endpoint, parse, spec
from modelrelease.api import checks as api_checks
from modelrelease.cluster import resolve
from modelrelease.core import revision
from tests.unit.api import rule_cases
from tests.unit.core import build

scalars = st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=8)
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)
templates = st.dictionaries(st.text(max_size=5), documents, max_size=4)

TEMPLATE: dict[str, Any] = {
    "metadata": {"labels": {"app": "embedder"}},
    "spec": {
        "initContainers": [
            {
                "name": "init",
                "env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "init", "key": "a"}}}],
            }
        ],
        "containers": [
            {
                "name": "server",
                "image": "registry/server:1",
                "env": [
                    {
                        "name": "B",
                        "valueFrom": {"configMapKeyRef": {"name": "env", "key": "b", "optional": True}},
                    },
                    {"name": "C", "valueFrom": {"secretKeyRef": {"name": "token", "key": "c"}}},
                    {"name": "D", "value": "d"},
                ],
                "envFrom": [{"configMapRef": {"name": "all"}}, {"secretRef": {"name": "all-secret"}}],
            }
        ],
        "volumes": [
            {"name": "v1", "configMap": {"name": "mounted"}},
            {"name": "v2", "secret": {"secretName": "mounted-secret"}},
            {
                "name": "v3",
                "projected": {
                    "sources": [
                        {"configMap": {"name": "projected"}},
                        {"secret": {"name": "projected-secret"}},
                        {"serviceAccountToken": {"path": "token"}},
                    ]
                },
            },
            {"name": "v4", "emptyDir": {}},
        ],
        "imagePullSecrets": [{"name": "pull"}],
    },
}


def identity(**fields: Any) -> dict[str, Any]:
    values = {"template": TEMPLATE, "embedding_space": "space", "config_digests": {"env": "sha256:1"}}
    return revision.identity(**{**values, **fields})


def shuffled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: shuffled(value[key]) for key in sorted(value, reverse=True)}
    return [shuffled(item) for item in value] if isinstance(value, list) else value


@given(templates)
def test_the_order_of_keys_and_nulls_change_nothing(template: dict[str, Any]):
    plain = identity(template=template)
    assert revision.canonical(plain) == revision.canonical(identity(template=shuffled(template)))
    assert plain == identity(template={**template, "absent": None})
    assert plain == json.loads(revision.canonical(plain))


@given(templates, templates)
def test_different_products_have_different_names(one: dict[str, Any], other: dict[str, Any]):
    first, second = identity(template=one), identity(template=other)
    assert (first == second) is (revision.revision_name(first) == revision.revision_name(second))


def test_what_is_the_identity():
    names = {
        revision.revision_name(found)
        for found in (
            identity(),
            identity(embedding_space="other"),
            identity(config_digests={"env": "sha256:2"}),
            identity(template={}),
            identity(artifact={"uri": "pvc://m", "digest": "sha256:3"}),
        )
    }
    assert len(names) == 5


def test_an_empty_object_says_something():
    assert identity(template={"v": {"emptyDir": {}}}) != identity(template={"v": {}})


def test_the_order_of_lists_says_something():
    assert identity(template={"args": ["a", "b"]}) != identity(template={"args": ["b", "a"]})


def test_canonical_bytes_are_compact_and_sorted():
    assert revision.canonical({"b": [1, "é"], "a": None}) == '{"a":null,"b":[1,"é"]}'.encode()
    with pytest.raises(ValueError, match="JSON compliant"):
        revision.canonical(float("nan"))


def test_a_name_is_fixed_for_ever():
    # A change of this name would rename every stored revision's successor: think of find_equal first.
    assert revision.revision_name(identity()) == "r99db462f60"


@given(templates)
def test_a_name_is_a_name_in_yaml(template: dict[str, Any]):
    name = revision.revision_name(identity(template=template))
    assert isinstance(yaml.safe_load(name), str)
    assert base.pydantic.TypeAdapter(base.RevisionName).validate_python(name) == name


def test_an_equal_revision_keeps_its_stored_name():
    stored = {"r00000000aa": identity(template={}), "rffffffffff": {**identity(), "unknown": 1}}
    assert revision.find_equal(identity(), stored) == "rffffffffff"
    assert revision.find_equal(identity(embedding_space="new"), stored) is None


def test_an_older_spelling_is_found_again():
    old = copy.deepcopy(identity())
    old["template"]["spec"]["hostname"] = None
    assert revision.find_equal(identity(), {"rffffffffff": old}) == "rffffffffff"


def test_a_taken_name_is_avoided_and_always_the_same_way():
    found = identity()
    name = revision.revision_name(found)
    assert revision.free_name(found, []) == name
    second = revision.free_name(found, [name])
    assert second != name
    assert second == revision.free_name(found, [name])
    assert revision.free_name(found, [name, second]) not in {name, second}


# --- Judging ------------------------------------------------------------------------------------------------

STRATEGY = spec.Strategy(steps=[spec.Step(weight=25)])


def strategy(**fields: Any) -> dict[str, Any]:
    return {"strategy": STRATEGY.model_copy(update=fields)}


LIVE = [
    strategy(max_surge=2),
    strategy(max_unavailable="25%"),
    strategy(deadlines=spec.Deadlines(check_seconds=7)),
    strategy(drain_seconds=7),
    strategy(on_supersede=spec.OnSupersede.QUEUE),
    strategy(retry_policy=spec.RetryPolicy(limit=9)),
    strategy(rollback_window=spec.RollbackWindow(revisions=9)),
    strategy(
        canary=spec.Canary(startup_deadline_seconds=7, retain_failed_seconds=7, capacity_deadline_seconds=7)
    ),
    {"on_inconclusive": spec.Policy.HOLD},
    {"on_error": spec.Policy.ROLL_BACK},
]
JUDGED = [
    strategy(steps=[spec.Step(weight=50)]),
    strategy(steps=[spec.Step(weight=25, hold_seconds=1)]),
    strategy(bake_seconds=1),
    strategy(approval=spec.Approval.BEFORE_FULL),
    strategy(canary=spec.Canary(replicas=2)),
    strategy(canary=spec.Canary(warmup_seconds=2)),
    {"checks": []},
    {"slos": [spec.Slo(name="a", objective="99", availability=spec.Availability())]},
    {"enforcement": api_checks.Enforcement.OBSERVE},
    {"model": spec.Model(version="2", numeric_class=spec.NumericClass.FP32)},
    {"endpoint": endpoint.Endpoint(runtime=endpoint.Runtime.INFINITY)},
]


@pytest.mark.parametrize("change", LIVE)
def test_a_live_field_changes_no_digest_and_acts_at_once(change: dict[str, Any]):
    before, after = build.judging(), build.judging(**change)
    assert revision.judging_digest(after) == revision.judging_digest(before)
    assert revision.with_live_fields(before, after) == after


@pytest.mark.parametrize("change", JUDGED)
def test_what_judges_changes_the_digest_and_waits_for_the_next_run(change: dict[str, Any]):
    before, after = build.judging(), build.judging(**change)
    assert revision.judging_digest(after) != revision.judging_digest(before)
    assert revision.with_live_fields(before, after) == before


def test_every_field_of_the_strategy_is_live_or_judged():
    covered = {
        key for change in [*LIVE, *JUDGED] for key in change.get("strategy", STRATEGY).model_fields_set
    }
    changed = {
        name
        for change in [*LIVE, *JUDGED]
        for name in type(STRATEGY).model_fields
        if getattr(change.get("strategy", STRATEGY), name) != getattr(STRATEGY, name)
    }
    # traffic has one provider yet, so it can't change.
    assert set(type(STRATEGY).model_fields) - changed == {"traffic"}
    assert covered >= {"steps"}


def test_a_digest_is_one_of_the_api():
    assert base.pydantic.TypeAdapter(base.Digest).validate_python(revision.judging_digest(build.judging()))


# --- References ---------------------------------------------------------------------------------------------


def test_references():
    assert revision.referenced_config_maps(TEMPLATE) == {"init", "env", "all", "mounted", "projected"}
    assert revision.referenced_secrets(TEMPLATE) == {
        "token",
        "all-secret",
        "mounted-secret",
        "projected-secret",
    }
    assert revision.optional_references(TEMPLATE) == {"env"}


@pytest.mark.parametrize("template", [{}, {"spec": None}, {"spec": {"containers": None, "volumes": None}}])
def test_a_template_without_anything_refers_to_nothing(template: dict[str, Any]):
    assert revision.referenced_config_maps(template) == frozenset()
    assert revision.rewrite_config_maps(template, {"a": "b"}) == template


def test_copies_replace_what_they_copy_and_nothing_else():
    before = copy.deepcopy(TEMPLATE)
    copies = {name: f"{name}-copy" for name in revision.referenced_config_maps(TEMPLATE) - {"all"}}
    rewritten = revision.rewrite_config_maps(TEMPLATE, {**copies, "token": "never"})
    assert before == TEMPLATE
    assert revision.referenced_config_maps(rewritten) == {*copies.values(), "all"}
    assert revision.referenced_secrets(rewritten) == revision.referenced_secrets(TEMPLATE)
    back = revision.rewrite_config_maps(rewritten, {new: old for old, new in copies.items()})
    assert back == TEMPLATE


# --- An upgrade ---------------------------------------------------------------------------------------------


def test_what_an_older_operator_has_named_keeps_its_name_and_digest():
    """Invariant 10: pinned by the code that knew neither artifacts, golden sets nor portions."""
    operations = [
        {"name": "query", "protocol": "OpenAIEmbeddings", "path": "/v1/embeddings"},
        {"name": "other", "protocol": "OpenAIEmbeddings", "path": "/q"},
    ]
    several = rule_cases.release(
        {
            "endpoint": {"operations": operations},
            "checks": [
                {"name": "a", "contract": {}, "operation": "query"},
                {"name": "p", "embeddingParity": {}},
            ],
            "model": {"version": "1", "contract": {"dimensions": 8}},
        }
    )
    pinned = {
        "e4b8760c5e9bfd7981594a6b3770c8c9e5c4171558f6e2ae4eac7549b76fb643": rule_cases.release(),
        "11591b7de994dedd6d2193db647c5a899d6db386af3af5d5792e9fc67667a295": several,
    }
    for digest, manifest in pinned.items():
        parsed = parse.parse_release(manifest).spec
        assert isinstance(parsed, spec.ReleaseSpec)
        # As the API server stores it, with every default of today.
        stored = spec.ReleaseSpec.model_validate(parse.defaulted(parsed))
        for read in (parsed, stored):
            assert revision.judging_digest(resolve.judging_of(read)) == f"sha256:{digest}"
            name = revision.revision_name(revision.identity(read.template, "minilm", {}))
            assert name == "rffeadf9017"
