"""The Helm chart rendered with values, and its flags read by the real server. Environment: VARSERVE_HELM, the program,
and VARSERVE_BUILD, the build folder with the server."""

import functools
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy/helm/varserve"
HELM = os.environ["VARSERVE_HELM"]
SERVER = pathlib.Path(os.environ["VARSERVE_BUILD"]) / "bin/varserve-server"


def helm(*arguments: str, values: dict | None = None) -> subprocess.CompletedProcess:
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(values or {}, file)
        file.flush()
        command = [HELM, *arguments, "--namespace", "varserve", "--kube-version", "v1.34.2", "--values", file.name]
        return subprocess.run(command, capture_output=True, text=True, check=False)


def refusal(values: dict, *arguments: str) -> str:
    done = helm("template", "varserve", str(CHART), *arguments, values=values)
    return done.stderr if done.returncode != 0 else ""


def render(values: dict | None = None, *arguments: str, chart: pathlib.Path = CHART) -> dict[tuple[str, str], dict]:
    """The chart's objects by kind and name."""
    done = helm("template", "varserve", str(chart), *arguments, values=values)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return {(o["kind"], o["metadata"]["name"]): o for o in yaml.safe_load_all(done.stdout) if o}


def notes(values: dict) -> str:
    """What helm prints after an installation, which it shows to a cluster only: rendered here as one object more."""
    with tempfile.TemporaryDirectory() as folder:
        chart = shutil.copytree(CHART, pathlib.Path(folder) / "varserve")
        text = (chart / "templates/NOTES.txt").read_text()
        (chart / "templates/_notes.tpl").write_text('{{- define "notes" -}}' + text + "{{- end }}")
        (chart / "templates/notes.yaml").write_text(
            'kind: ConfigMap\napiVersion: v1\nmetadata: {name: notes}\ndata: {text: {{ include "notes" . | toJson }}}\n'
        )
        return render(values, chart=chart)["ConfigMap", "notes"]["data"]["text"]


def flag_file(values: dict, *arguments: str) -> str:
    return render(values, *arguments)["ConfigMap", "varserve"]["data"]["flags"]


def read_by_server(flags: str, **environment: str) -> dict[str, str]:
    """Every flag's value, as the real server has it after this flag file."""
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(flags)
        file.flush()
        done = subprocess.run(
            [SERVER, f"--flagfile={file.name}", "--help"],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **environment},
        )
    if "ERROR" in done.stderr:
        raise ValueError(done.stderr.strip())
    text = re.sub(r"\n {6,}", " ", done.stdout)
    read = {}
    for name, rest in re.findall(r"^ +--(\w+) (.*)$", text, re.MULTILINE):
        value = re.findall(r"(?:default|currently): (.*?);", rest)[-1]
        read[name] = value.removeprefix('"').removesuffix('"')
    return read


@functools.cache
def defaults() -> dict[str, str]:
    return read_by_server("")


def container(objects: dict, deployment: str = "varserve") -> dict:
    return objects["Deployment", deployment]["spec"]["template"]["spec"]["containers"][0]
