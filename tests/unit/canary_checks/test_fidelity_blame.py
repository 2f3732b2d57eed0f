"""Lost text is blamed on the path of the text where the rest of the picture is as it was."""

import pytest

from canary_checks import schema
from canary_checks import vocabulary as v
from canary_checks.fidelity import blame

TEXT_LOST = {"TextFidelity": v.Verdict.FAIL, "CharacterErrorRate": v.Verdict.FAIL}
PICTURE_KEPT = dict.fromkeys(("ObjectCountAccuracy", "ColourCast", "UniqueLevels"), v.Verdict.PASS)


def _gates(verdicts):
    return [
        schema.Gate(
            metric=metric,
            verdict=verdict,
            observed=0.5 if verdict is v.Verdict.PASS else "NaN",
            operator="<=",
            limit=0.85,
            basis=v.Basis.DEFAULT,
            samples=100,
        )
        for metric, verdict in verdicts.items()
    ]


def test_lost_text_alone_is_blamed_on_the_path_of_the_text():
    report = blame.diagnose(_gates(TEXT_LOST | PICTURE_KEPT))

    assert (report.cause, report.confidence) == ("FontOrTextPath", v.Confidence.LIKELY)
    assert "over 100 texts" in report.evidence[0]


@pytest.mark.parametrize("other", ["ColourCast", "UniqueLevels", "OcrConfidence", "Contrast", "NoiseImages"])
def test_text_that_is_lost_with_something_else_is_blamed_on_nothing(other):
    report = blame.diagnose(_gates(TEXT_LOST | PICTURE_KEPT | {other: v.Verdict.FAIL}))

    assert report.cause == "Unknown"
    assert other in report.evidence[1]
    assert set(report.left) == {"FontOrTextPath", "Decoder"}


def test_without_a_reference_to_compare_with_lost_text_names_no_cause():
    assert blame.diagnose(_gates(TEXT_LOST)).cause == "Unknown"


def test_text_that_is_as_readable_as_it_was_needs_no_blame():
    assert blame.diagnose(_gates(PICTURE_KEPT | {"TextFidelity": v.Verdict.PASS})) is None
