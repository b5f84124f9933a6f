"""varserve-eval from its command line to its tables, with the real server and the pictures of models/embedded."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from server_process import ServerProcess

from conftest import ROOT
from varserve import Client, Var
from varserve.evaluation.answers_file import Answer, AnswersFile, Header
from varserve.evaluation.benchmarks import BENCHMARKS
from varserve.evaluation.main import main
from varserve.evaluation.plots import _draw_attention, _draw_differences
from varserve.evaluation.results import Attention, Results, Row
from varserve.evaluation.statistics import Difference

DATA = ROOT / "models" / "embedded" / "benchmark"
SETTINGS = ["off", "observe", "on:rho=0,min_visual_attention=0"]


def run(server: ServerProcess, out: Path, benchmark: str, *flags: str) -> int:
    place = ["--address", server.address, "--data", str(DATA), "--out", str(out)]
    return main(["run", benchmark, *place, "--settings", *SETTINGS, "--max-tokens", "12", *flags])


def test_it_counts_what_single_questions_say(
    server: ServerProcess, client: Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ("--limit", "1", "--subsets", "adversarial")
    assert run(server, tmp_path, "pope", *flags) == 0
    shown = capsys.readouterr().out
    results = json.loads((tmp_path / "pope-official.results.json").read_text())
    lines = [json.loads(line) for line in (tmp_path / "pope-official.jsonl").read_text().splitlines()[1:]]
    asked = [json.loads(line) for line in (DATA / "coco_pope_adversarial.json").read_text().splitlines()]
    by_id = {f"adversarial/{row['question_id']}": row for row in asked}
    assert len(lines) == 6
    for i, setting in enumerate(SETTINGS):
        right = 0
        for line in lines:
            row = by_id[line["id"]]
            said = client.ask(DATA / "images" / row["image"], row["text"], var=Var.parse(setting), max_tokens=12)
            assert line["answers"][i]["text"] == said.text
            right += ("no" if said.text.startswith("No") else "yes") == row["label"]
        assert results["rows"][i]["metrics"]["accuracy"] == right / 6
        assert f"| {setting} " in shown
    off, observed, ruined = results["rows"]
    assert (off["attention"], off["differences"]) == (None, None)
    assert observed["differences"]["accuracy"] == {"value": 0, "low": 0, "high": 0}
    assert observed["attention"]["before"] == observed["attention"]["after"] > 0
    assert ruined["attention"]["after"] > ruined["attention"]["before"]
    assert len(ruined["attention"]["layers"]) == 29
    assert ruined["mcnemar"]["only_baseline"] > 0


def test_a_run_that_was_stopped_goes_on(
    server: ServerProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(server, tmp_path, "chair", "--limit", "4") == 0
    path = tmp_path / "chair-official.jsonl"
    whole, results = path.read_text(), (tmp_path / "chair-official.results.json").read_text()
    kept = whole.splitlines(keepends=True)[:3]
    path.write_text("".join(kept) + whole.splitlines()[3][:100])  # stopped within a line
    assert run(server, tmp_path, "chair", "--limit", "4", "--concurrency", "1") == 0
    assert path.read_text().startswith("".join(kept))
    assert sorted(path.read_text().splitlines()) == sorted(whole.splitlines())
    assert (tmp_path / "chair-official.results.json").read_text() == results

    assert run(server, tmp_path, "chair", "--limit", "5") == 1
    assert "is of a run that differs in limit, questions; choose another --out" in capsys.readouterr().err


def test_a_run_without_results_is_unfinished(
    server: ServerProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(server, tmp_path, "pope", "--limit", "1", "--subsets", "random") == 0
    path, results = tmp_path / "pope-official.jsonl", tmp_path / "pope-official.results.json"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:3]))
    kept = results.read_text()
    results.unlink()
    capsys.readouterr()
    note = f"{path} is unfinished: 2 of 6 questions are answered; give the same varserve-eval run again"
    assert main(["report", str(tmp_path)]) == 1
    assert note in capsys.readouterr().err
    (tmp_path / "chair-official.results.json").write_text(kept)
    assert main(["report", str(tmp_path)]) == 0
    shown = capsys.readouterr()
    assert note in shown.err
    assert "| random | off " in shown.out
    results.write_text("{}")
    assert main(["report", str(tmp_path)]) == 1
    assert f"{results} is not a file of results" in capsys.readouterr().err


def test_without_a_server_nothing_goes_on(
    server: ServerProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = ["--data", str(DATA), "--out", str(tmp_path), "--limit", "1"]
    assert main(["run", "chair", *place, "--address", "127.0.0.1:1"]) == 1
    shown = capsys.readouterr().err
    assert "the server at 127.0.0.1:1 is not running; start it" in shown
    assert "--address" in shown
    assert "continues" not in shown

    add = AnswersFile.add

    def stop_after_one(file: AnswersFile, question: str, answers: Sequence[Answer]) -> None:
        add(file, question, answers)
        raise KeyboardInterrupt

    monkeypatch.setattr(AnswersFile, "add", stop_after_one)
    assert main(["run", "chair", *place, "--address", server.address, "--max-tokens", "3"]) == 130
    assert "the same command continues from here" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["nothing"], "nothing is not a folder"),
        (["--paper", ".", "nothing"], "nothing is not a folder"),
        (["--paper", "--format", "csv", "."], "--paper: has tables only"),
        (["."], "there are no results in ."),
    ],
)
def test_a_report_that_cannot_be_is_refused(
    flags: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["report", *flags]) == 1
    assert message in capsys.readouterr().err


def test_a_setting_that_the_server_refuses_is_named(
    server: ServerProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ["--address", server.address, "--data", str(DATA), "--out", str(tmp_path), "--limit", "1"]
    for settings, message in (
        (["off", "on:rho=3"], "--settings on:rho=3: rho: 3 is not in [0, 1]"),
        (["off", "on:rho=3+vcd"], "--settings on:rho=3+vcd: var.rho: 3 is not in [0, 1]"),
    ):
        assert main(["run", "chair", *place, "--out", str(tmp_path / settings[1]), "--settings", *settings]) == 1
        assert message in capsys.readouterr().err


def test_plots_of_no_difference_do_not_zoom_in(tmp_path: Path) -> None:
    layers = {0: (0.5, 0.5, 0.0), 1: (0.25, 0.25, 0.0)}
    metrics = dict.fromkeys(BENCHMARKS["pope"].metrics, 0.5)
    same = dict.fromkeys(metrics, Difference(0.0, 0.0, 0.0))
    wide = dict.fromkeys(metrics, Difference(0.25, 0.0, 0.5))
    header = Header("pope", "official", "m", ["off", "observe"], 9, None, [], 3)
    for differences, points, plain in ((same, 1.0, 0.01), (wide, 50.0, 0.5)):
        rows = [
            Row("all", "off", 3, metrics, 1.0, 0.0, None, None, None),
            Row("all", "observe", 3, metrics, 1.0, 0.0, differences, None, Attention(0.4, 0.4, 0.0, layers)),
        ]
        figure = Figure()
        assert _draw_differences(figure, Results(header, "off", rows))
        for axes in figure.axes:
            assert axes.get_xlim()[1] == pytest.approx(points if "points" in axes.get_xlabel() else plain, rel=0.06)
        figure = Figure()
        assert _draw_attention(figure, Results(header, "off", rows))
        assert figure.axes[1].get_ylim() == (-1, 1)


def test_results_are_reported_in_every_form(
    server: ServerProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(server, tmp_path, "pope", "--limit", "1", "--protocol", "lmms-eval") == 0
    capsys.readouterr()
    assert main(["report", str(tmp_path), "--format", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert {row["subset"] for row in rows} == {"random", "popular", "adversarial", "all"}
    assert {"accuracy", "MCC", "McNemar p", "attention after layer 28"} <= {row["metric"] for row in rows}
    assert main(["report", str(tmp_path), "--format", "json"]) == 0
    [results] = json.loads(capsys.readouterr().out)
    assert results["header"]["protocol"] == "lmms-eval"
    assert results["rows"][0]["metrics"]["neither"] == 1  # "Yes." is neither yes nor no there
    assert main(["report", str(tmp_path), "--plots", str(tmp_path / "plots")]) == 0
    capsys.readouterr()
    for kind, text in (("differences", "accuracy, points"), ("attention", "attention on the picture")):
        assert f"<!-- {text}" in (tmp_path / "plots" / f"pope-lmms-eval-embedded.{kind}.svg").read_text()
    assert main(["report", str(tmp_path), "--paper"]) == 0
    shown = capsys.readouterr().out
    assert "| POPE random F1 | POPE popular F1 | POPE adversarial F1 | CHAIR_s | CHAIR_i |" in shown
    assert "| embedded       | 0.0%  " in shown  # off; the preset was not among the settings
    assert "| embedded + VAR | not run" in shown


def test_a_question_that_the_server_refuses_is_named(
    server: ServerProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = {"question_id": 3, "image": "a.jpg", "text": "Is there a dog in the image?", "label": "no"}
    for subset in ("random", "popular", "adversarial"):
        (tmp_path / f"coco_pope_{subset}.json").write_text(json.dumps(line))
    (tmp_path / "a.jpg").write_text("not a picture")
    place = ["--address", server.address, "--data", str(tmp_path), "--out", str(tmp_path)]
    assert main(["run", "pope", "--subsets", "popular", *place]) == 1
    assert "question popular/3: INVALID_ARGUMENT: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--data", "/no/such/folder"], "is not a folder; POPE reads coco_pope_random.json"),
        (
            ["--data", str(ROOT / "docs")],
            "coco_pope_random.json or *_pope_random.json or *_pope_seem_random.json is missing",
        ),
        (["--data", str(DATA), "--settings", "on:rho=x"], 'rho: "x" is not a number'),
        (["--data", str(DATA), "--protocol", "mine"], "there are official, lmms-eval"),
        (["--data", str(DATA), "--settings", "off", "foo"], '--settings foo: setting: "foo" is not one of off, obs'),
        (["--data", str(DATA), "--settings", "foo"], "on, pai, vaf, spin, vcd, icd, m3id"),
        (["--data", str(DATA), "--settings", "off", "on", "off"], "--settings: off is there twice"),
        (["--data", str(DATA), "--subsets", "random", "hard"], "hard is not one of random, popular, adversarial"),
        (["--data", str(DATA), "--baseline", "on"], "on is not among --settings off"),
    ],
)
def test_what_is_wrong_is_named(flags: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "pope", *flags]) == 1
    assert message in capsys.readouterr().err


def test_every_benchmark_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    assert capsys.readouterr().out.count("files: ") == 13
