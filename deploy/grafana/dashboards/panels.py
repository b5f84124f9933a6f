"""Building blocks of the dashboards: panels with a common look, variables, annotations, links."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from grafana_foundation_sdk.builders import barchart, common, dashboard, heatmap, prometheus, stat, timeseries
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

DATASOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
SELECTED = 'model=~"$model", instance=~"$instance"'
TAG = "varserve"
BEFORE, AFTER = 'stage="before"', 'stage="after"'  # of shares of attention

# Grafana's unit names.
SECONDS = "s"
BYTES = "bytes"
RATIO = "percentunit"
REQUESTS = "reqps"
COUNT = "short"
TOKENS_PER_SECOND = "suffix: tok/s"
TOKENS = "suffix: tok"

Query = tuple[str, str]  # expression, legend
Aggregation = Callable[..., str]  # rate or increase
Panel = TypeVar("Panel", timeseries.Panel, stat.Panel, barchart.Panel, heatmap.Panel)


def series(name: str, *matchers: str) -> str:
    """A metric's series for the selected models and instances."""
    return f"varserve_{name}{{{', '.join([SELECTED, *matchers])}}}"


def rate(name: str, *matchers: str, by: str = "") -> str:
    return f"{_sum(by)} (rate({series(name, *matchers)}[$__rate_interval]))"


def increase(name: str, *matchers: str, by: str = "") -> str:
    """Over the whole time range; for instant queries."""
    return f"{_sum(by)} (increase({series(name, *matchers)}[$__range]))"


def _sum(by: str) -> str:
    return f"sum by ({by})" if by else "sum"


def mean(name: str, *matchers: str, by: str = "", over: Aggregation = rate) -> str:
    """Mean of a histogram's observations."""
    return f"{over(f'{name}_sum', *matchers, by=by)} / {over(f'{name}_count', *matchers, by=by)}"


def quantile(q: float, name: str, *matchers: str, by: str = "", over: Aggregation = rate) -> str:
    by = f"{by}, le" if by else "le"
    return f"histogram_quantile({q}, {over(f'{name}_bucket', *matchers, by=by)})"


def quantiles(name: str, *matchers: str) -> list[Query]:
    return [(quantile(q, name, *matchers), f"p{q * 100:.0f}") for q in (0.5, 0.95, 0.99)]


def _add_queries(
    panel: Panel, queries: Sequence[Query], instant: bool, query_format: PromQueryFormat | None = None
) -> Panel:
    for index, (expression, legend) in enumerate(queries):
        query = prometheus.Dataquery().expr(expression).legend_format(legend).ref_id(chr(ord("A") + index))
        query = query.instant() if instant else query.range()
        panel.with_target(query.format(query_format) if query_format else query)
    return panel


def _common(panel: Panel, title: str, description: str, width: int, height: int) -> Panel:
    return panel.title(title).description(description).datasource(DATASOURCE).span(width).height(height)


def timeline(
    title: str,
    description: str,
    unit: str,
    queries: Sequence[Query],
    *,
    width: int = 8,
    stacked: bool = False,
    from_zero: bool = True,
) -> timeseries.Panel:
    """Lines over time."""
    panel = _common(timeseries.Panel(), title, description, width, 8).unit(unit)
    if from_zero:
        panel.min(0)
    panel.fill_opacity(25 if stacked else 5).line_width(1).show_points(common_models.VisibilityMode.NEVER)
    panel.tooltip(common.VizTooltipOptions().mode(common_models.TooltipDisplayMode.MULTI))
    if stacked:
        panel.stacking(common.StackingConfig().mode(common_models.StackingMode.NORMAL))
    return _add_queries(panel, queries, instant=False)


def figure(
    title: str, description: str, unit: str, expression: str, *, bad_from: float | None = None, width: int = 4
) -> stat.Panel:
    """One number for the time range; red from `bad_from` on."""
    panel = _common(stat.Panel(), title, description, width, 4).unit(unit).no_value("no traffic")
    panel.graph_mode(common_models.BigValueGraphMode.NONE)
    steps = [models.Threshold(color="green", value=None)]
    if bad_from is not None:
        steps.append(models.Threshold(color="red", value=bad_from))
    panel.thresholds(dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps))
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    return _add_queries(panel, [(expression, title)], instant=True)


def bars(
    title: str, description: str, unit: str, queries: Sequence[Query], by: str, *, width: int = 12
) -> barchart.Panel:
    """One group of bars for every value of the label `by`, for the time range."""
    panel = _common(barchart.Panel(), title, description, width, 8).unit(unit).x_field(by).min(0)
    _add_queries(panel, queries, instant=True, query_format=PromQueryFormat.TABLE)
    names = (
        {"Value": queries[0][1]}
        if len(queries) == 1
        else {f"Value #{chr(ord('A') + i)}": q[1] for i, q in enumerate(queries)}
    )
    panel.with_transformation(
        models.DataTransformerConfig(id_val="joinByField", options={"byField": by, "mode": "outer"})
    )
    panel.with_transformation(models.DataTransformerConfig(id_val="sortBy", options={"sort": [{"field": by}]}))
    hide = {f"Time{suffix}": True for suffix in ("", *(f" {i + 1}" for i in range(len(queries))))}
    return panel.with_transformation(
        models.DataTransformerConfig(id_val="organize", options={"excludeByName": hide, "renameByName": names})
    )


def distribution(
    title: str, description: str, unit: str, metric: str, *matchers: str, width: int = 12
) -> heatmap.Panel:
    """A histogram's buckets over time."""
    expression = f"sum by (le) (increase({series(f'{metric}_bucket', *matchers)}[$__rate_interval]))"
    panel = _heatmap(title, description, width).y_axis(heatmap.YAxisConfig().unit(unit))
    panel.cell_values(heatmap.CellValues().unit(COUNT).decimals(0))
    return _add_queries(panel, [(expression, "{{le}}")], instant=False, query_format=PromQueryFormat.HEATMAP)


def layer_map(title: str, description: str, unit: str, expression: str, *, width: int = 12) -> heatmap.Panel:
    """One row for every decoder layer over time."""
    panel = _heatmap(title, description, width).y_axis(heatmap.YAxisConfig().axis_label("layer"))
    panel.rows_frame(heatmap.RowsHeatmapOptions().layout(common_models.HeatmapCellLayout.AUTO))
    panel.cell_values(heatmap.CellValues().unit(unit))
    return _add_queries(panel, [(padded_layer(expression), "{{layer}}")], instant=False)


def padded_layer(expression: str) -> str:
    """Writes layer 7 as 07, because Grafana sorts by text."""
    return f'label_replace({expression}, "layer", "0$1", "layer", "(.)")'


def _heatmap(title: str, description: str, width: int) -> heatmap.Panel:
    panel = _common(heatmap.Panel(), title, description, width, 8).calculate(False)
    return panel.color(
        heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Oranges").exponent(0.5).steps(64)
    )


def board(uid: str, title: str, description: str, other: tuple[str, str]) -> dashboard.Dashboard:
    """An empty dashboard with what both have in common. `other`: uid and title of the dashboard to link to."""
    result = dashboard.Dashboard(title).uid(uid).description(description).tags([TAG]).readonly().timezone("browser")
    result.time("now-1h", "now").refresh("30s").tooltip(models.DashboardCursorSync.CROSSHAIR)
    result.with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
    for name, source in (("model", "varserve_ready"), ("instance", 'varserve_ready{model=~"$model"}')):
        result.with_variable(choice(name, f"label_values({source}, {name})"))
    result.with_variable(
        dashboard.TextBoxVariable("runbook")
        .label("Runbook")
        .description("Address of docs/runbook.md")
        .default_value("docs/runbook.md")
    )
    restart = f"varserve_start_time_seconds{{{SELECTED}}} > time() - 120"
    result.annotation(
        dashboard.AnnotationQuery()
        .name("Restarts")
        .datasource(DATASOURCE)
        .enable(True)
        .icon_color("purple")
        .expr(restart)
    )
    link = dashboard.DashboardLink(other[1]).type(models.DashboardLinkType.LINK).url(f"/d/{other[0]}")
    result.link(link.include_vars(True).keep_time(True))
    return result.link(
        dashboard.DashboardLink("Runbook").type(models.DashboardLinkType.LINK).url("${runbook}").target_blank(True)
    )


def with_rows(board: dashboard.Dashboard, rows: dict[str, list]) -> dashboard.Dashboard:
    """Adds rows of panels, by title."""
    for title, panels in rows.items():
        board.with_row(dashboard.Row(title))
        for panel in panels:
            board.with_panel(panel)
    return board


def choice(name: str, query: str) -> dashboard.QueryVariable:
    """A variable with a label's values to choose from, initially all."""
    variable = dashboard.QueryVariable(name).label(name.capitalize()).query(query).datasource(DATASOURCE)
    variable.multi(True).include_all(True).all_value(".*").refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
    everything = models.VariableOption(text="All", value="$__all", selected=True)
    return variable.sort(models.VariableSort.ALPHABETICAL_ASC).current(everything)
