"""Dashboards as Grafana reads them, by the builders of Grafana's own SDK."""

import json
import string
from collections.abc import Callable, Mapping
from typing import Final

from grafana_foundation_sdk.builders import bargauge, common, heatmap, prometheus, stat, table, timeseries
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog import builder, encoder
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import prometheus as prometheus_models
from grafana_foundation_sdk.models.common import LegendDisplayMode, LegendPlacement, TooltipDisplayMode

from hack.dashboards import plan

TAG: Final = "modelrelease"
SOURCE: Final = models.DataSourceRef("prometheus", "${datasource}")
COLUMNS: Final = 24


_Panel = timeseries.Panel | stat.Panel | bargauge.Panel | table.Panel | heatmap.Panel


class _Marked(models.AnnotationQuery):
    """An annotation of Prometheus: the SDK knows Grafana's own only."""

    def __init__(self, said: plan.Annotation) -> None:
        super().__init__(name=said.name, datasource=SOURCE, icon_color=said.colour, expr=said.expr)
        self._title, self._text = said.title, said.text

    def to_json(self) -> dict[str, object]:
        more = {"step": "60s", "titleFormat": self._title, "textFormat": self._text}
        return {**super().to_json(), **more}


def document(board: plan.Board) -> str:
    """Return the JSON of a dashboard."""
    made = (
        build.Dashboard(board.title)
        .uid(f"{TAG}-{board.name}")
        .description(board.description)
        .tags([TAG])
        .time(board.since, "now")
        .refresh(board.refresh)
        .readonly()
        .with_variable(build.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(_of_releases("namespace", "Namespace", "modelrelease_replicas"))
        .with_variable(
            _of_releases("release", "Release", 'modelrelease_replicas{namespace=~"$namespace"}', "name")
        )
        .link(
            build.DashboardLink("ModelRelease")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .keep_time(keep_time=True)
            .include_vars(include_vars=True)
        )
    )
    for text in board.texts:
        made.with_variable(build.TextBoxVariable(text.name).label(text.label).default_value(text.value))
    for annotation in board.annotations:
        made.annotation(_Built(_Marked(annotation)))
    across, down, tallest = 0, 0, 0
    for number, panel in enumerate(board.panels, start=1):
        if across + panel.width > COLUMNS:
            across, down, tallest = 0, down + tallest, 0
        place = models.GridPos(h=panel.height, w=panel.width, x=across, y=down)
        made.with_panel(_panel(number, panel, place))
        across, tallest = across + panel.width, max(tallest, panel.height)
    return json.dumps(made.build(), cls=encoder.JSONEncoder, indent=2, ensure_ascii=False) + "\n"


class _Built(builder.Builder[models.AnnotationQuery]):
    def __init__(self, made: models.AnnotationQuery) -> None:
        self._made = made

    def build(self) -> models.AnnotationQuery:
        return self._made


def _of_releases(name: str, label: str, selector: str, asked: str = "") -> build.QueryVariable:
    return (
        build.QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query(f"label_values({selector}, {asked or name})")
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
        .multi(multi=True)
        .include_all(include_all=True)
        .all_value(".+")
        .current(models.VariableOption(text="All", value="$__all"))
    )


def _panel(number: int, panel: plan.Panel, place: models.GridPos) -> _Panel:
    made = _KINDS[panel.kind]()
    description = (
        f"{panel.description} Empty where {panel.optional}." if panel.optional else panel.description
    )
    (
        made.id(number)
        .title(panel.title)
        .description(description)
        .datasource(SOURCE)
        .unit(panel.unit)
        .grid_pos(place)
        .no_value("no data")
    )
    if panel.thresholds:
        (_, lowest), *others = panel.thresholds
        steps = [models.Threshold(value=None, color=lowest)]
        steps += [models.Threshold(value=value, color=colour) for value, colour in others]
        made.thresholds(build.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps))
    for letter, query in zip(string.ascii_uppercase, panel.queries, strict=False):
        made.with_target(_target(letter, query, panel.kind))
    return made


def _target(letter: str, query: plan.Query, kind: plan.Kind) -> prometheus.Dataquery:
    made = prometheus.Dataquery().ref_id(letter).datasource(SOURCE).expr(query.expr)
    made.editor_mode(prometheus_models.QueryEditorMode.CODE).legend_format(query.legend or "__auto")
    if kind is plan.Kind.HEATMAP:
        return made.range().format(prometheus_models.PromQueryFormat.HEATMAP)
    if kind is plan.Kind.TABLE:
        return made.instant().format(prometheus_models.PromQueryFormat.TABLE)
    return made.range() if kind is plan.Kind.LINES else made.instant()


def _lines() -> _Panel:
    return (
        timeseries.Panel()
        .legend(
            common.VizLegendOptions()
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(show_legend=True)
        )
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
    )


def _newest() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().calcs(["lastNotNull"]).values(values=False)


def _table() -> _Panel:
    # Several queries become one row for the same labels.
    merged = models.DataTransformerConfig(id_val="merge", options={})
    timeless = models.DataTransformerConfig(id_val="organize", options={"excludeByName": {"Time": True}})
    return table.Panel().with_transformation(merged).with_transformation(timeless)


_KINDS: Final[Mapping[plan.Kind, Callable[[], _Panel]]] = {
    plan.Kind.LINES: _lines,
    plan.Kind.NUMBER: lambda: stat.Panel().reduce_options(_newest()),
    plan.Kind.BARS: lambda: bargauge.Panel().reduce_options(_newest()),
    plan.Kind.TABLE: _table,
    plan.Kind.HEATMAP: lambda: heatmap.Panel().calculate(calculate=False),
}
