"""The three dashboards: for those who pay, for those who are woken, and for those who look for the cause."""

from typing import Final

from hack.dashboards import series
from hack.dashboards.plan import Annotation, Board, Kind, Panel, Query, Text

WEEK: Final = "7d"
WHO: Final = "{{namespace}}/{{release}} {{revision}}"
RUN: Final = "{{namespace}}/{{name}} {{revision}}"
GREEN_TO_RED: Final = ((0.0, "green"), (1.0, "orange"), (10.0, "red"))
PRICE: Final = Text("price", "Price of a replica-hour", "1.00")
OBJECTIVE: Final = Text("objective", "Availability objective, %", "99.9")

ANNOTATIONS: Final = (
    Annotation(
        "Traffic moves",
        f"changes({series.own('modelrelease_traffic_percent')}[2m]) > 0",
        "blue",
        "{{namespace}}/{{name}}: traffic of version {{version}} moves",
        "Revision {{revision}}",
    ),
    Annotation(
        "A run ends",
        f"sum by (outcome, reason) ({series.grown('modelrelease_runs_total', '2m')}) > 0",
        "purple",
        "A run ends: {{outcome}}",
        "{{reason}}; of any release that this Prometheus knows",
    ),
)


def boards(servers: series.Servers) -> tuple[Board, ...]:
    """Return the dashboards for servers that count so."""
    return (_executive(servers), _on_call(servers), _debug(servers))


def _executive(servers: series.Servers) -> Board:
    # Points five minutes apart: what was not seen is not paid for.
    hours = f"sum(sum_over_time({series.own('modelrelease_replicas')}[{WEEK}:5m])) / 12"
    volume = servers.volume(WEEK)
    judged = 'modelrelease_verdicts_total{{kind="check",verdict=~"{}"}}'
    passed, spoken = (series.grown(judged.format(which), WEEK) for which in ("Pass", "Pass|Fail"))
    bad = series.own("modelrelease_slo_bad")
    return Board(
        "executive",
        "ModelRelease: executive",
        "Volume, cost, consistency and error budgets of released models.",
        "now-7d",
        "5m",
        (
            Panel(
                "Requests in a week",
                "Answers of the model servers in the last seven days, health checks left out.",
                "short",
                (Query(volume),),
                Kind.NUMBER,
                6,
                5,
            ),
            Panel(
                "Cost of a week",
                "Replica-hours of the last seven days, at the price of a replica-hour that is set above: "
                "the pods of revisions that serve, looked at every five minutes. Only time in which the "
                "operator was scraped counts.",
                "currencyUSD",
                (Query(f"{hours} * $price"),),
                Kind.NUMBER,
                6,
                5,
            ),
            Panel(
                "Cost of a million requests",
                "The week's cost by the week's volume.",
                "currencyUSD",
                (Query(f"1e6 * {hours} * $price / {volume}"),),
                Kind.NUMBER,
                6,
                5,
            ),
            Panel(
                "Consistency",
                "Share of checks that passed among those that passed or failed in the last seven days, of "
                "all releases: how often a new revision answers as it must.",
                "percentunit",
                (Query(f"(sum({passed}) or vector(0)) / sum({spoken})"),),
                Kind.NUMBER,
                6,
                5,
            ),
            Panel(
                "How releases ended",
                "Runs of the last seven days by outcome, of all releases.",
                "short",
                (
                    Query(
                        f"sum by (outcome) ({series.grown('modelrelease_runs_total', WEEK)})", "{{outcome}}"
                    ),
                ),
                Kind.BARS,
                8,
            ),
            Panel(
                "Error budget burn",
                "How many times faster than allowed the availability budget is spent: the share of 5xx by "
                "what the objective set above allows. 1 spends exactly the budget.",
                "short",
                (Query(f"{servers.share('bad')} / (1 - $objective / 100)", WHO),),
                width=16,
                thresholds=GREEN_TO_RED,
            ),
            Panel(
                "Bad requests, by objective",
                "Share of bad requests by which each objective of the newest run was judged; compare it "
                "with the objective in the release.",
                "percentunit",
                (Query(f"{bad} / ({series.own('modelrelease_slo_requests')} > 0)", f"{RUN} {{{{slo}}}}"),),
            ),
            Panel(
                "Requests, by release",
                "Requests a second of each release and revision.",
                "reqps",
                (Query(servers.per_second(), WHO),),
            ),
            Panel(
                "Replicas, by release",
                "Pods of the revisions that serve: what the cost is made of.",
                "short",
                (Query(series.own("modelrelease_replicas"), "{{namespace}}/{{name}}"),),
            ),
            Panel(
                "What users are served",
                "Percent of live traffic by version.",
                "percent",
                (
                    Query(
                        series.own("modelrelease_traffic_percent"),
                        "{{namespace}}/{{name}} version {{version}} ({{revision}})",
                    ),
                ),
            ),
        ),
        ANNOTATIONS,
        (PRICE, OBJECTIVE),
    )


def _on_call(servers: series.Servers) -> Board:
    traffic = series.own("modelrelease_traffic_percent")
    return Board(
        "on-call",
        "ModelRelease: on call",
        "What is served, how well, and what was taken back.",
        "now-1h",
        "30s",
        (
            Panel(
                "What is served",
                "Version and revision by percent of live traffic, now.",
                "percent",
                (Query(f"sum by (namespace, name, version, revision) ({traffic}) > 0"),),
                Kind.TABLE,
            ),
            Panel(
                "Traffic, by revision",
                "Percent of live traffic that each revision takes, as attained.",
                "percent",
                (Query(traffic, f"{RUN} version {{{{version}}}}"),),
            ),
            Panel(
                "Latency p95 and p99",
                "Interpolated between the bounds of the server's buckets: see the heatmap of the debug "
                "dashboard.",
                "s",
                (Query(servers.quantile(0.95), f"p95 {WHO}"), Query(servers.quantile(0.99), f"p99 {WHO}")),
            ),
            Panel(
                "Queue: requests in flight",
                "Requests that are in the servers on average, waiting or worked on: arrivals a second "
                "times how long each stays (Little's law). What grows while the requests a second do not "
                "is a queue.",
                "short",
                (Query(servers.in_flight(), WHO),),
            ),
            Panel(
                "5xx",
                "Share of requests that the server failed, by revision.",
                "percentunit",
                (Query(servers.share("bad"), WHO),),
            ),
            Panel(
                "Requests",
                "Requests a second, by revision.",
                "reqps",
                (Query(servers.per_second(), WHO),),
            ),
            Panel(
                "Runs that did not become stable",
                "Ended runs by outcome and reason, in the time shown, of all releases; docs/reasons says "
                "what each means.",
                "short",
                (
                    Query(
                        "sum by (outcome, reason) ("
                        + series.grown('modelrelease_runs_total{outcome!="Promoted"}', "$__range")
                        + ")",
                        "{{outcome}}: {{reason}}",
                    ),
                ),
                Kind.BARS,
                optional="nothing was rolled back, rejected, cancelled or superseded in the time shown",
            ),
            Panel(
                "Releases, by phase",
                "Of all releases; RolledBack and Stalled want somebody to look.",
                "short",
                (Query("sum by (phase) (modelrelease_releases)", "{{phase}}"),),
            ),
            Panel(
                "Words of people",
                "Overrides that count now, by kind; 0 where there are none.",
                "short",
                (
                    Query(
                        f"sum by (kind) ({series.own('modelrelease_override')}) or vector(0)",
                        "{{kind}}",
                    ),
                ),
                width=8,
            ),
            Panel(
                "Operator: turns that failed",
                "Failed turns a second, and how late its event loop is. While it is down, what serves "
                "goes on.",
                "short",
                (
                    Query(
                        f'sum(rate(modelrelease_turns_total{{result="failure"}}[{series.WINDOW}])) '
                        f"or 0 * sum(rate(modelrelease_turns_total[{series.WINDOW}]))",
                        "failed turns a second",
                    ),
                    Query("max(modelrelease_event_loop_lag_seconds)", "event loop late, s"),
                ),
                width=8,
            ),
            Panel(
                "Operator: last good turn",
                "Age of the last turn of a release that did not fail; beyond 15 minutes it is stuck.",
                "s",
                (
                    Query(
                        series.own("modelrelease_since_successful_turn_seconds"),
                        "{{namespace}}/{{name}}",
                    ),
                ),
                width=8,
            ),
            Panel(
                "Alerts that fire",
                "Of the operator and of releases, by severity.",
                "short",
                (
                    Query(
                        "sum by (alertname, severity) "
                        '(ALERTS{alertname=~"ModelRelease.+",alertstate="firing"})',
                        "{{severity}}: {{alertname}}",
                    ),
                ),
                optional="no alert fires, or this Prometheus evaluates none of our rules",
            ),
            Panel(
                "Queue of vLLM",
                "Requests that wait for the engine, by pod.",
                "short",
                (
                    Query(
                        f'vllm:num_requests_waiting{{namespace=~"$namespace",pod=~"$release-{series.REVISION}-.*"}}',
                        "{{pod}}",
                    ),
                ),
                optional="the server is not vLLM",
            ),
        ),
        ANNOTATIONS,
    )


def _debug(servers: series.Servers) -> Board:
    value, limit = (series.own(f"modelrelease_check_{what}") for what in ("value", "limit"))
    gate = f"{RUN} {{{{check}}}}: {{{{metric}}}} {{{{against}}}}"
    path = servers.path_label
    return Board(
        "debug",
        "ModelRelease: debug",
        "Where a revision differs: checks by modality, drift, slow requests, refused requests, causes.",
        "now-6h",
        "1m",
        (
            Panel(
                "Checks: what was measured",
                "Each metric of each check (a check asks one modality, or one pipeline) of the newest run.",
                "short",
                (Query(value, gate),),
            ),
            Panel(
                "Checks: now, and the bound",
                "The same as numbers beside their bounds: value A, bound B.",
                "short",
                tuple(
                    Query(f"sum by (namespace, name, revision, check, metric, against) ({what})")
                    for what in (value, limit)
                ),
                Kind.TABLE,
            ),
            Panel(
                "Drift: distance to the bound",
                "What was measured less its bound, by check and metric. From run to run it drifts towards "
                "0, and beyond it the check fails.",
                "short",
                (Query(f"{value} - {limit}", gate),),
            ),
            Panel(
                "Causes",
                "Causes that failures were blamed on in the time shown, with confidence, of all releases; "
                "docs/causes says what to do.",
                "short",
                (
                    Query(
                        "sum by (cause, confidence) ("
                        + series.grown("modelrelease_causes_total", "$__range")
                        + ")",
                        "{{cause}} ({{confidence}})",
                    ),
                ),
                Kind.BARS,
                optional="no check has failed in the time shown",
            ),
            Panel(
                "Slow requests: by bound",
                "Requests a second by how long they took; the bounds are the server's.",
                "s",
                (Query(servers.buckets(), "{{le}}"),),
                Kind.HEATMAP,
            ),
            Panel(
                f"Slow requests: p99 by {path}",
                "Which path is slow. A trace shows where in the pipeline: docs/tracing.md.",
                "s",
                (Query(servers.quantile(0.99, by=f"namespace, release, {path}"), f"{{{{{path}}}}}"),),
            ),
            Panel(
                "Slow requests: beyond every bound",
                "Share of requests that took longer than the server's last bound: no quantile sees how "
                "much longer.",
                "percentunit",
                (Query(servers.slower_than_all_bounds(), WHO),),
            ),
            Panel(
                "Preprocessing: refused requests",
                "Share of requests answered 4xx. A new revision that refuses (422, 400) what stable "
                "accepts has another schema, tokenizer limit or image decoder.",
                "percentunit",
                (Query(servers.share("refused"), WHO),),
            ),
            Panel(
                f"Preprocessing: refused, by {path}",
                "Requests a second answered 4xx.",
                "reqps",
                (Query(servers.per_second("refused", by=f"namespace, release, {path}"), f"{{{{{path}}}}}"),),
            ),
            Panel(
                "Objectives: requests and bad ones",
                "What the newest run is judged by, as counted from the first live request on.",
                "short",
                tuple(
                    Query(series.own(f"modelrelease_slo_{what}"), f"{what} {RUN} {{{{slo}}}}")
                    for what in ("requests", "bad")
                ),
            ),
            Panel(
                "Verdicts",
                "Verdicts in the time shown, of checks and objectives of all releases.",
                "short",
                (
                    Query(
                        "sum by (kind, verdict) ("
                        + series.grown("modelrelease_verdicts_total", "$__range")
                        + ")",
                        "{{kind}}: {{verdict}}",
                    ),
                ),
                Kind.BARS,
            ),
            Panel(
                "Calls to the API server",
                "Calls a second of the operator, by result.",
                "ops",
                (
                    Query(
                        f"sum by (result) (rate(modelrelease_api_requests_total[{series.WINDOW}]))",
                        "{{result}}",
                    ),
                ),
            ),
            Panel(
                "GPU memory",
                "Of the release's pods, as DCGM's exporter says.",
                "decmbytes",
                (
                    Query(
                        'DCGM_FI_DEV_FB_USED{exported_namespace=~"$namespace",'
                        f'exported_pod=~"$release-{series.REVISION}-.*"}}',
                        "{{exported_pod}}",
                    ),
                ),
                optional="DCGM's exporter is not scraped with honor_labels: false",
            ),
        ),
        ANNOTATIONS,
    )
