"""Puts into the wheel what other folders of the repository hold: the messages of proto/, compiled, and the files of the
explain page. Nothing of it lies in this folder, so nothing can become stale."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PROTOS = ("varserve/v1/var.proto", "varserve/v1/intervention.proto", "varserve/v1/inference.proto")
PAGE = ("report.html", "report.css", "report.js", "pictures.js", "charts.js")


class RepositoryFiles(BuildHookInterface):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            raise RuntimeError("the protos are compiled into the wheel: install it without --editable")
        self._compiled = tempfile.TemporaryDirectory()
        compiled = Path(self._compiled.name)
        compile_protos(self._folder("proto", "../../proto"), compiled)
        files = {str(path): f"varserve/v1/{path.name}" for path in (compiled / "varserve" / "v1").iterdir()}
        page = self._folder("explain", "../explain")
        files |= {str(page / name): f"varserve/explain/page/{name}" for name in PAGE}
        build_data["force_include"].update(files)

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        self._compiled.cleanup()

    def _folder(self, unpacked: str, repository: str) -> Path:
        """Of a source distribution, or of the repository."""
        for folder in (unpacked, repository):
            if (Path(self.root) / folder).is_dir():
                return (Path(self.root) / folder).resolve()
        raise RuntimeError(
            f"{repository} is missing: build from a clone of the repository, or from a source distribution"
        )


def compile_protos(protos: Path, out: Path) -> None:
    from grpc_tools import protoc

    flags = [f"-I{protos}", f"--python_out={out}", f"--pyi_out={out}"]
    if protoc.main(["protoc", *flags, *PROTOS]) != 0:
        raise RuntimeError("the protos do not compile")
    (out / "varserve" / "v1" / "__init__.py").write_text('"""The messages of proto/varserve/v1."""\n')
