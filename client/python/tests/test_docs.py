"""The code of docs/python.md, of the notebook and of the README runs."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from server_process import ServerProcess

from conftest import ROOT


@pytest.mark.parametrize("page", ["docs/python.md", "README.md", "client/python/README.md"])
def test_its_blocks_run(
    page: str, server: ServerProcess, castle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(castle, tmp_path / "picture.jpg")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    blocks = [block for block in blocks if "openai" not in block]  # tests/http runs those
    assert blocks
    names: dict[str, object] = {}
    for block in blocks:
        # One server, whatever address the page names; it has no certificate.
        code = block.replace("localhost:50051", server.address)
        code = re.sub(r'"a\.example.*"varserve\.example"\),', f'"{server.address}",', code, flags=re.DOTALL)
        exec(compile(code, page, "exec"), names)
    if page == "docs/python.md":
        assert str(names["described"]).startswith("A rocket")
        assert [str(reply) for reply in names["replies"]] == ["No.", "Yes."]
        assert (tmp_path / "explain.html").stat().st_size > 100_000


def test_the_notebook_runs(server: ServerProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.chdir(ROOT / "docs")
    cells = json.loads(Path("sinks.ipynb").read_text())["cells"]
    names: dict[str, object] = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            assert cell["outputs"], "the notebook was not executed"
            code = "".join(cell["source"]).replace("localhost:50051", server.address)
            exec(compile(code, "sinks.ipynb", "exec"), names)
    assert len(names["named"]) == 4  # maps for the four objects
    assert list(names["table"].index) == list(names["settings"])
