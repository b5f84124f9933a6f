"""Makes a task of lmms-eval out of POPE's files in a folder, so that no hub is needed.

usage: pope_task.py DATA OUT [--subset random]
DATA has coco_pope_SUBSET.json and, anywhere below, the pictures. OUT, for --include_path, gets the data and two tasks:
varserve_pope         lmms-eval's own prompt and rule: only "yes" or "no" without any mark is right
varserve_pope_rule    POPE's own: the question as it is; "no" if the first sentence has the word no or not, else "yes"
"""

from __future__ import annotations

import argparse
import json
import pathlib
import shutil
import sys

try:
    import datasets
    import lmms_eval
except ModuleNotFoundError as error:
    sys.exit(f"pope_task.py needs {error.name}: pip install lmms-eval==0.7.3 filelock==3.20.3")

HERE = pathlib.Path(__file__).resolve().parent
FEATURES = datasets.Features(
    question_id=datasets.Value("string"),
    question=datasets.Value("string"),
    answer=datasets.Value("string"),
    category=datasets.Value("string"),
    image=datasets.Image(),
)
TASK = """include: {builtin}
task: {task}
dataset_path: {data}
dataset_kwargs:
  load_from_disk: true
"""
RULE = """process_results: !function pope_rule.process_results
lmms_eval_specific_kwargs:
  default:
    pre_prompt: ""
    post_prompt: ""
"""


def make(data: pathlib.Path, out: pathlib.Path, subset: str) -> int:
    """How many questions the task has."""
    rows = [json.loads(line) for line in (data / f"coco_pope_{subset}.json").read_text().splitlines()]
    names = {row["image"] for row in rows}
    files = {path.name: path for path in data.rglob("*") if path.name in names}
    questions = [
        {
            "question_id": f"{subset}/{row['question_id']}",
            "question": row["text"],
            "answer": row["label"],
            "category": subset,
            "image": str(files[row["image"]]),
        }
        for row in rows
    ]
    datasets.disable_progress_bars()
    dataset = datasets.Dataset.from_list(questions, features=FEATURES)
    datasets.DatasetDict(test=dataset).save_to_disk(str(out / "data"))
    builtin = pathlib.Path(lmms_eval.__file__).parent / "tasks" / "pope" / "pope.yaml"
    for task, rule in (("varserve_pope", ""), ("varserve_pope_rule", RULE)):
        (out / f"{task}.yaml").write_text(TASK.format(builtin=builtin, task=task, data=out / "data") + rule)
    shutil.copy(HERE / "pope_rule.py", out)
    return len(questions)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--subset", default="random")
    arguments = parser.parse_args()
    count = make(arguments.data.resolve(), arguments.out.resolve(), arguments.subset)
    print(f"{count} questions in {arguments.out}")


if __name__ == "__main__":
    main()
