"""Every reason and every alert has a page of its own: what it means, what users feel, what to do."""

import itertools
import re
from pathlib import Path

import pytest

from modelrelease.api import escalation, reasons
from tests.unit.docs import blocks

FOLDER = blocks.DOCS / "reasons"
CONSTANTS = {value for name, value in vars(reasons).items() if name.isupper() and isinstance(value, str)}
PAGES = sorted(path for path in FOLDER.glob("*.md") if path.name != "README.md")
ALERTS = sorted(path for path in (blocks.DOCS / "alerts").glob("*.md") if path.name != "README.md")
SECTIONS = ("What it means", "What users feel", "What to do")
CONDITIONS = {
    "ArtifactUnverified", "ConfigDrift", "NotFixedByReturn", "Overridden", "Paused", "Ready", "Reconciling",
    "Recovered", "Stalled", "TemplateReverted", "WeightRounded",
}  # fmt: skip


def sections(page: Path) -> dict[str, str]:
    parts = re.split(r"^## (.+)\n", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def shingles(text: str) -> set[tuple[str, ...]]:
    """Return every five words in a row, commands left out."""
    words = re.findall(r"\w+", re.sub(r"```.*?```", "", text, flags=re.DOTALL).lower())
    return set(zip(*(words[start:] for start in range(5)), strict=False))


def test_every_reason_has_its_page_and_no_page_is_left_over() -> None:
    assert {page.stem for page in PAGES} == CONSTANTS


@pytest.mark.parametrize("page", [*PAGES, *ALERTS], ids=lambda page: page.stem)
def test_a_page_says_what_it_means_what_users_feel_and_what_to_do(page: Path) -> None:
    found = sections(page)
    assert tuple(found) == SECTIONS
    assert len(found["What it means"].split()) >= 18
    commands = [
        command
        for block in blocks.fences(page)
        if block.language in blocks.SHELLS
        for command in blocks.commands(block)
    ]
    assert 1 <= len(commands) <= 4, "the two or three commands that help"
    assert len(page.read_text(encoding="utf-8").split()) <= 260, "a page that is read at 3 a.m. is short"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_says_where_the_reason_is_shown(page: Path) -> None:
    head = page.read_text(encoding="utf-8").partition("\n## ")[0]
    assert head.startswith(f"# {page.stem}\n\nShown as: ")
    assert set(re.findall(r"conditions? `(\w+)`", head)) <= CONDITIONS


def test_no_two_pages_say_the_same() -> None:
    """Copied text helps nobody: of two pages no more than a quarter of the words stand in the same order."""
    said = {page.stem: shingles("\n".join(sections(page).values())) for page in [*PAGES, *ALERTS]}
    alike = [
        (one, other)
        for one, other in itertools.combinations(said, 2)
        if len(said[one] & said[other]) > 0.25 * min(len(said[one]), len(said[other]))
    ]
    assert alike == []


def test_the_index_lists_each_page_once_and_says_who_acts() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[(\w+)\]\((\w+)\.md\) \| .+ \| ([^|]+) \|$", text, flags=re.MULTILINE)
    assert [name for name, page, _ in rows if name != page] == []
    assert sorted(name for name, _, _ in rows) == sorted(CONSTANTS)
    acting = {
        name: f"{one.severity.value}, {one.team.value.upper()}" for name, one in escalation.TABLE.items()
    }
    assert {name: who for name, _, who in rows} == {name: acting.get(name, "–") for name in CONSTANTS}
