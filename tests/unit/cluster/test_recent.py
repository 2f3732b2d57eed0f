"""What was made of the objects that were read last."""

import pytest

from modelrelease.cluster import recent


class Counted:
    """Makes something of what it is given, and counts."""

    def __init__(self, releases: int) -> None:
        self.recent: recent.Recent[str] = recent.Recent(releases)
        self.made = 0

    def of(self, key: str, given: object, part: str = "only") -> str:
        def make() -> str:
            self.made += 1
            return f"{key}: {given}"

        return self.recent.made(key, part, given, make)


def test_the_same_is_made_once_and_something_else_anew():
    counted = Counted(releases=4)
    assert [counted.of("a", [1]), counted.of("a", [1]), counted.of("a", [2])] == [
        "a: [1]",
        "a: [1]",
        "a: [2]",
    ]
    assert counted.made == 2
    assert counted.of("a", [1]) == "a: [1]"
    assert counted.made == 3


def test_what_was_asked_for_longest_ago_is_forgotten():
    counted = Counted(releases=2)
    for key in ("a", "b", "a", "c"):
        counted.of(key, 0)
    assert counted.made == 3
    counted.of("a", 0)
    assert counted.made == 3
    counted.of("b", 0)
    assert counted.made == 4


def test_what_could_not_be_made_is_tried_again():
    known: recent.Recent[int] = recent.Recent(2)
    with pytest.raises(ZeroDivisionError):
        known.made("a", "b", 0, lambda: 1 // 0)
    assert known.made("a", "b", 0, lambda: 1) == 1


def test_a_release_is_forgotten_as_a_whole_and_never_has_more_parts_than_it_can():
    counted = Counted(releases=1)
    for part in ("run", "pod", "run", "pod"):
        counted.of("a", 0, part)
    assert counted.made == 2
    counted.of("b", 0)
    counted.of("a", 0, "run")
    assert counted.made == 4
    for number in range(1000):
        counted.of("a", 0, str(number))
    counted.of("a", 0, "999")
    assert counted.made == 1004
    counted.of("a", 0, "0")
    assert counted.made == 1005
