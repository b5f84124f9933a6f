"""lmms-eval against the real server on local data, without a hub: the same answers and counts as varserve-eval, with
VAR off and on. Needs VARSERVE_EVAL_PYTHON, a Python that has what varserve-eval needs, and VARSERVE_EVAL_PATH, the
folder of the package; `./dev test --harness` sets them."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

from pope_task import make
from running import BENCHMARK, NAME, ServerProcess, serving

PICTURES = 6
SUBSET = "random"
# Of varserve-eval, and of lmms-eval, which can choose nothing but a model's name.
SETTINGS = {"off": NAME, "on:preset=hallucination": f"{NAME}+var-hallucination"}
TASKS = {"lmms-eval": "varserve_pope", "official": "varserve_pope_rule"}  # by the protocol of varserve-eval
METRICS = {"accuracy": "accuracy", "precision": "precision", "recall": "recall", "F1": "f1_score"}


def cut_benchmark(folder: pathlib.Path) -> None:
    """The first pictures of the embedded model's POPE with their questions."""
    folder.mkdir()
    chosen = [f"scene_{number:02}.jpg" for number in range(PICTURES)]
    for file in BENCHMARK.glob("coco_pope_*.json"):
        rows = [line for line in file.read_text().splitlines() if json.loads(line)["image"] in chosen]
        (folder / file.name).write_text("".join(f"{row}\n" for row in rows))
    for picture in chosen:
        (folder / picture).symlink_to(BENCHMARK / "images" / picture)


def varserve_eval(server: ServerProcess, data: pathlib.Path, out: pathlib.Path, protocol: str) -> tuple[dict, dict]:
    """Answers by question and setting; metrics by setting."""
    code = "import sys; from varserve.evaluation.main import main; sys.exit(main())"
    flags = ["--data", data, "--out", out, "--subsets", SUBSET, "--protocol", protocol, "--address", server.address]
    subprocess.run(
        [os.environ["VARSERVE_EVAL_PYTHON"], "-c", code, "run", "pope", *flags, "--settings", *SETTINGS],
        env={**os.environ, "PYTHONPATH": os.environ["VARSERVE_EVAL_PATH"]},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    lines = [json.loads(line) for line in (out / f"pope-{protocol}.jsonl").read_text().splitlines()[1:]]
    answers = {
        (line["id"], setting): answer["text"]
        for line in lines
        for setting, answer in zip(SETTINGS, line["answers"], strict=True)
    }
    results = json.loads((out / f"pope-{protocol}.results.json").read_text())
    return answers, {row["setting"]: row["metrics"] for row in results["rows"]}


def lmms_eval(server: ServerProcess, task_folder: pathlib.Path, out: pathlib.Path, model: str) -> tuple[dict, dict]:
    """Answers by task and question; metrics by task."""
    where = f"model_version={model},base_url=http://{server.http_address}/v1,api_key=none"
    flags = ["--model", "openai", "--model_args", where, "--tasks", ",".join(TASKS.values()), "--batch_size", "1"]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "lmms_eval",
            *flags,
            "--include_path",
            task_folder,
            "--output_path",
            out,
            "--log_samples",
        ],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(out / "hub")},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise AssertionError(f"lmms-eval failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    [results] = out.rglob("*_results.json")
    answers = {}
    for task in TASKS.values():
        [samples] = out.rglob(f"*_samples_{task}.jsonl")
        for line in map(json.loads, samples.read_text().splitlines()):
            row = line["pope_accuracy"]
            answers[task, row["question_id"]] = line["filtered_resps"]
    return answers, json.loads(results.read_text())["results"]


class PopeTaskTest(unittest.TestCase):
    def test_it_says_what_to_install(self) -> None:
        task = pathlib.Path(__file__).with_name("pope_task.py")
        without_packages = [sys.executable, "-S", task, "data", "out"]
        ran = subprocess.run(without_packages, capture_output=True, text=True, check=False)
        self.assertEqual(ran.returncode, 1)
        self.assertRegex(ran.stderr, r"^pope_task\.py needs datasets: pip install lmms-eval==.*\n$")


class LmmsEvalTest(unittest.TestCase):
    def test_answers_and_counts_are_those_of_varserve_eval(self) -> None:
        with tempfile.TemporaryDirectory() as name, serving() as server:
            folder = pathlib.Path(name)
            data, task = folder / "pope", folder / "task"
            cut_benchmark(data)
            task.mkdir()
            questions = make(data, task, SUBSET)
            self.assertEqual(questions, 6 * PICTURES)
            ours = {protocol: varserve_eval(server, data, folder / "ours", protocol) for protocol in TASKS}
            for setting, model in SETTINGS.items():
                their_answers, their_metrics = lmms_eval(server, task, folder / model, model)
                for protocol, task_name in TASKS.items():
                    our_answers, our_metrics = ours[protocol]
                    with self.subTest(setting=setting, protocol=protocol):
                        expected = {
                            (task_name, question): text for (question, of), text in our_answers.items() if of == setting
                        }
                        found = {key: text for key, text in their_answers.items() if key[0] == task_name}
                        self.assertEqual(len(found), questions)
                        self.assertEqual(found, expected)
                        for our_name, their_name in METRICS.items():
                            metric = their_metrics[task_name][f"pope_{their_name},none"]
                            self.assertAlmostEqual(metric, our_metrics[setting][our_name] or 0.0, places=9)


if __name__ == "__main__":
    unittest.main()
