"""The explain page of the package is that of the command line."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from server_process import ServerProcess

from varserve import Client, M3id, Pai, Spin, Var, Vcd
from varserve.explain.explanation import split_layers
from varserve.explain.page import report_page


@pytest.mark.parametrize(
    ("setting", "flags"),
    [
        ({"var": Var.on(preset="hallucination")}, ["--preset", "hallucination"]),
        ({"intervention": Pai(alpha=0.3)}, ["--intervention", "pai,alpha=0.3"]),
        ({"intervention": Spin()}, ["--intervention", "spin"]),
        ({"intervention": M3id()}, ["--intervention", "m3id"]),
        ({"intervention": Vcd(alpha=0.5, attention=Var.on())}, ["--intervention", "on+vcd,alpha=0.5"]),
    ],
    ids=["var", "pai", "spin", "m3id", "var+vcd"],
)
def test_its_data_are_those_of_the_command_line(
    client: Client, server: ServerProcess, castle: Path, setting: dict[str, Any], flags: list[str]
) -> None:
    reply = client.ask(castle, "Describe the image.", max_tokens=12, **setting)
    explanation = reply.explain()
    question = [str(castle), "Describe the image.", "--max-tokens", "12", *flags]
    command = [f"{os.environ['VARSERVE_BUILD']}/bin/varserve", "explain", "--address", server.address, "--json"]
    expected = json.loads(subprocess.run([*command, *question], capture_output=True, check=True).stdout)
    for data in (explanation.data, expected):
        for answer in ("off", "on"):
            assert data[answer].pop("seconds") > 0
    assert explanation.data == expected
    assert explanation.data["on"]["text"] == reply.text


def test_a_notebook_shows_the_whole_page_in_a_frame(client: Client, castle: Path) -> None:
    explanation = client.explain(castle, "Is there a <b>?")
    page, shown = explanation.html, explanation._repr_html_()
    assert "{{" not in re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert data is not None
    assert json.loads(data[1])["question"] == "Is there a <b>?"
    assert shown.startswith("<iframe srcdoc=")
    assert "<b>" not in shown


def test_nothing_in_the_data_breaks_out_of_the_page() -> None:
    page = report_page({"question": "</script><!-- {{style}}"})
    assert "</script><!--" not in page
    assert "\\u003c/script>\\u003c!-- {{style}}" in page


def test_bands_are_as_equal_as_can_be() -> None:
    assert split_layers(0, 28, 6) == [(0, 3), (4, 8), (9, 13), (14, 18), (19, 23), (24, 28)]
    assert split_layers(3, 4, 6) == [(3, 3), (4, 4)]
