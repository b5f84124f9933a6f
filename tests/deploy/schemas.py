"""Schemas of the pinned Kubernetes and of the operators the chart has resources for, as the two validators want them:
OUT/kubeconform (strict JSON schemas),
OUT/openapi and OUT/crds (for kubectl-validate). Everything comes from Go modules."""

import argparse
import json
import pathlib
import shutil
import subprocess
from typing import TypeAlias

import yaml

KUBERNETES = "k8s.io/kubernetes@v1.34.2"
OPERATORS = {  # module: its CustomResourceDefinitions
    "github.com/prometheus-operator/prometheus-operator@v0.85.0": [
        "example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml",
        "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
    ],
    "github.com/kedacore/keda/v2@v2.18.1": ["config/crd/bases/keda.sh_scaledobjects.yaml"],
    "github.com/kserve/kserve@v0.15.2": [
        "config/crd/full/serving.kserve.io_servingruntimes.yaml",
        "config/crd/full/serving.kserve.io_inferenceservices.yaml",
    ],
}
SCALAR = {"type": ["string", "number"]}

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"


def module_folder(module: str) -> pathlib.Path:
    done = subprocess.run(["go", "mod", "download", "-json", module], capture_output=True, text=True, check=False)
    answer = json.loads(done.stdout or "{}")
    if "Dir" not in answer:
        raise SystemExit(f"{module}: {answer.get('Error', done.stderr.strip())}")
    return pathlib.Path(answer["Dir"])


def strict(schema: Json) -> Json:
    """OpenAPI to JSON schema that refuses fields it does not know."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("format") == "int-or-string" or schema.get("x-kubernetes-int-or-string"):
        return SCALAR
    out = {
        key: strict(value) for key, value in schema.items() if not (key == "format" or key.startswith("x-kubernetes"))
    }
    if isinstance(schema.get("properties"), dict):
        out["properties"] = {name: strict(value) for name, value in schema["properties"].items()}
        if "additionalProperties" not in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
            out["additionalProperties"] = False
    return out


def write_kubernetes(folder: pathlib.Path, out: pathlib.Path) -> None:
    specification = folder / "api/openapi-spec"
    definitions = strict(json.loads((specification / "swagger.json").read_text())["definitions"])
    definitions["io.k8s.apimachinery.pkg.api.resource.Quantity"] = SCALAR
    originals = json.loads((specification / "swagger.json").read_text())["definitions"]
    for name, original in originals.items():
        for kind in original.get("x-kubernetes-group-version-kind", []):
            group = kind["group"].split(".")[0]
            file = "-".join(part for part in (kind["kind"], group, kind["version"]) if part).lower() + ".json"
            (out / "kubeconform" / file).write_text(json.dumps({"$ref": f"definitions.json#/definitions/{name}"}))
    (out / "kubeconform/definitions.json").write_text(json.dumps({"definitions": definitions}))

    v3 = specification / "v3"
    for document in (*v3.glob("api__*_openapi.json"), *v3.glob("apis__*__*_openapi.json")):  # apis__apps has no schemas
        place = document.name.removesuffix("_openapi.json").split("__")  # api__v1, apis__apps__v1
        target = out.joinpath("openapi", *place).with_name(place[-1] + ".json")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(document, target)


def write_operator(file: pathlib.Path, out: pathlib.Path) -> None:
    shutil.copyfile(file, out / "crds" / file.name)
    spec = yaml.safe_load(file.read_text())["spec"]
    for version in spec["versions"]:
        schema = strict(version["schema"]["openAPIV3Schema"])
        schema["properties"]["metadata"] = {"type": "object"}
        name = f"{spec['names']['kind']}-{spec['group'].split('.')[0]}-{version['name']}.json".lower()
        (out / "kubeconform" / name).write_text(json.dumps(schema))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=pathlib.Path, help="a new folder")
    out = parser.parse_args().out
    for part in ("kubeconform", "openapi", "crds"):
        (out / part).mkdir(parents=True)
    write_kubernetes(module_folder(KUBERNETES), out)
    for module, files in OPERATORS.items():
        folder = module_folder(module)
        for file in files:
            write_operator(folder / file, out)


if __name__ == "__main__":
    main()
