"""gpu.json and gpu.md in the output folder:
written anew with every result, so that a run that is cut off leaves them."""

import dataclasses
import json
import pathlib

import aims


@dataclasses.dataclass
class StepReport:
    title: str
    status: str = "not run"
    seconds: float = 0.0
    rows: dict[str, tuple[float | str, str]] = dataclasses.field(default_factory=dict)  # name: value, unit
    details: dict = dataclasses.field(default_factory=dict)

    def take(self, line: str) -> None:
        """A line a step's program wrote, see step.py."""
        message = json.loads(line)
        if "row" in message:
            name, value, unit = message["row"]
            self.rows[name] = value, unit
        else:
            name, value = message["detail"]
            self.details[name] = value


class Report:
    def __init__(self, out: pathlib.Path, steps: dict[str, StepReport], about: dict[str, str]) -> None:
        self._out, self._about = out, about
        self.steps = steps

    def write(self) -> None:
        content = {"about": self._about, "steps": {name: dataclasses.asdict(step) for name, step in self.steps.items()}}
        self._replace("gpu.json", json.dumps(content, indent=1))
        self._replace("gpu.md", self.markdown())

    def markdown(self) -> str:
        lines = ["# VARServe on a GPU", "", ", ".join(f"{name}: {value}" for name, value in self._about.items())]
        lines += ["", "## Aims", "", *aims.markdown(self._rows_of_the_cuda_backend())]
        for step in self.steps.values():
            took = f", {step.seconds:.0f} s" if step.seconds else ""
            lines += ["", f"## {step.title}: {step.status}{took}", ""]
            if step.details:
                lines += [f"Details in gpu.json: {len(step.details)}.", ""]
            if step.rows:
                lines += ["| measurement | value |", "|---|---:|"]
                lines += [
                    f"| {name} | {_cell(value)} {unit} |".replace("  |", " |")
                    for name, (value, unit) in step.rows.items()
                ]
        return "\n".join(lines) + "\n"

    def _rows_of_the_cuda_backend(self) -> aims.Rows:
        """None in a run on a CPU, or of the time before that backend."""
        if self._about["device"] == "cpu" or "backend" not in self.steps:
            return {}
        return {name: step.rows for name, step in self.steps.items()}

    def _replace(self, name: str, text: str) -> None:
        part = self._out / f".{name}"
        part.write_text(text)
        part.rename(self._out / name)


def _cell(value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"
