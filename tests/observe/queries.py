"""The queries of dashboards and rules, as Prometheus gets them once Grafana has filled in its variables."""

from __future__ import annotations

import dataclasses
import json
import re

import yaml

from stack import ROOT, RULES

SELECTOR = re.compile(r"(?:[a-z_]+:)?varserve_[a-z_]+(?::[a-z0-9]+)?(?:\{[^}]*\})?")
METRIC = re.compile(r"\bvarserve_[a-z_]+\b(?!:)")


@dataclasses.dataclass(frozen=True)
class Query:
    expression: str
    legend: str
    instant: bool

    def filled(self, model: str = ".*", span: str = "10m", rate_interval: str = "15s") -> str:
        text = self.expression.replace("$__rate_interval", rate_interval).replace("$__range", span)
        return text.replace("$model", model).replace("$instance", ".*").replace("$preset", ".*")

    def label(self, metric: dict[str, str]) -> str:
        """The legend of one of its series."""
        return re.sub(r"\{\{(\w+)\}\}", lambda found: metric.get(found[1], ""), self.legend)


@dataclasses.dataclass(frozen=True)
class Panel:
    dashboard: str
    row: str
    title: str
    description: str
    type: str
    unit: str
    position: dict[str, int]
    stacked: bool
    from_zero: bool
    x_label: str  # of a bar chart
    queries: list[Query]

    @property
    def name(self) -> str:
        return f"{self.dashboard}: {self.row}: {self.title}"


def panels(dashboard: str) -> list[Panel]:
    row, result = "", []
    for panel in load_dashboard(dashboard)["panels"]:
        if panel["type"] == "row":
            row = panel["title"]
            continue
        defaults = panel.get("fieldConfig", {}).get("defaults", {})
        unit = defaults.get("unit", "")
        if panel["type"] == "heatmap":
            unit = panel["options"]["yAxis"].get("unit") or panel["options"]["cellValues"]["unit"]
        result.append(
            Panel(
                dashboard=dashboard,
                row=row,
                title=panel["title"],
                description=panel.get("description", ""),
                type=panel["type"],
                unit=unit,
                position=panel["gridPos"],
                stacked=defaults.get("custom", {}).get("stacking", {}).get("mode") == "normal",
                from_zero=defaults.get("min") == 0,
                x_label=panel.get("options", {}).get("xField", ""),
                queries=[Query(t["expr"], t["legendFormat"], t.get("instant", False)) for t in panel["targets"]],
            )
        )
    return result


def load_dashboard(name: str) -> dict:
    return json.loads((ROOT / f"deploy/grafana/{name}.json").read_text())


def rules() -> list[dict]:
    """Recording and alert rules as in their files."""
    files = [yaml.safe_load((ROOT / "deploy/prometheus" / name).read_text()) for name in RULES]
    return [rule for file in files for group in file["groups"] for rule in group["rules"]]


def alerts() -> dict[str, dict]:
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}
