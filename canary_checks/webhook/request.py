"""What a webhook's Job is told: whom to ask, and what."""

from typing import Annotated

import pydantic

from canary_checks import question
from canary_checks import vocabulary as v


class WebhookRequest(v.Model):
    """One question for one service; its keys come beside it, because they are secrets."""

    question: question.Question
    """Its ``deadlineSeconds`` bound everything."""
    url: Annotated[str, pydantic.StringConstraints(pattern=r"^https?://[!-~]{1,500}$")]
    timeout_seconds: Annotated[int, pydantic.Field(ge=1, le=600)] = 30
    """Of one request."""
    poll_seconds: Annotated[int, pydantic.Field(ge=1, le=600)] = 5
    """Between two looks at a status, where the service does not say how long."""
