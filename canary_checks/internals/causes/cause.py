"""One line of the table of causes, as for vectors: here of what was seen inside a model."""

from canary_checks.internals.causes import contrast
from canary_checks.parity.causes import cause as parity_cause

Cause = parity_cause.Cause[contrast.Contrast]
Named = parity_cause.Named
proven = parity_cause.proven
observed = parity_cause.observed
likely = parity_cause.likely
unless = parity_cause.unless
