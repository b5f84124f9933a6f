"""The answers of one run as a file of JSON lines: first what was asked, then one line for each question. A run that was
stopped resumes where it stopped."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from varserve.evaluation.errors import EvaluationError
from varserve.reply import Reply


@dataclass(frozen=True)
class Header:
    benchmark: str
    protocol: str
    model: str
    settings: list[str]
    max_tokens: int
    limit: int | None
    subsets: list[str]
    questions: int


@dataclass(frozen=True)
class Answer:
    """Of one setting. `layers`: attention on the picture before and after, and attention moved to it; None without an
    intervention."""

    text: str
    tokens: int
    finish: str
    layers: Mapping[int, tuple[float, float, float]] | None


def answer_of(reply: Reply[Any]) -> Answer:
    layers = None
    if reply.report is not None and reply.report.eligible_rows > 0:
        layers = {
            layer.layer: (layer.visual_attention_before, layer.visual_attention_after, layer.redistributed_attention)
            for layer in reply.report.layers
        }
    if (other := reply.intervention_report) is not None and other.rows > 0:
        layers = {
            layer.layer: (
                layer.visual_attention_before,
                layer.visual_attention_after,
                layer.visual_attention_after - layer.visual_attention_before,
            )
            for layer in other.layers
        }
    return Answer(reply.text, reply.usage.generated_tokens, reply.finish_reason, layers)


class AnswersFile:
    def __init__(self, path: Path, header: Header) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._open(header)

    def _open(self, header: Header) -> IO[str]:
        if self.path.exists() and self.path.stat().st_size > 0:
            found, answers, size = _read(self.path)
            if found != header:
                differing = [name for name, value in asdict(header).items() if asdict(found)[name] != value]
                raise EvaluationError(
                    f"{self.path} is of a run that differs in {', '.join(differing)}; choose another --out, or delete "
                    "the file"
                )
            self.done = set(answers)
            file = self.path.open("r+", encoding="utf-8")
            file.truncate(size)  # a last line that was cut
            file.seek(size)
            return file
        self.done = set()
        file = self.path.open("w", encoding="utf-8")
        _write(file, asdict(header))
        return file

    def add(self, question: str, answers: Sequence[Answer]) -> None:
        self.done.add(question)
        _write(self._file, {"id": question, "answers": [asdict(answer) for answer in answers]})

    def close(self) -> None:
        self._file.close()


def read_answers(path: Path) -> tuple[Header, dict[str, list[Answer]]]:
    """By question; one answer for each setting of the header."""
    header, answers, _ = _read(path)
    return header, answers


def unfinished(path: Path) -> str:
    """What to say of a run that has no results yet."""
    header, answers = read_answers(path)
    return (
        f"{path} is unfinished: {len(answers)} of {header.questions} questions are answered; give the same "
        "varserve-eval run again to continue"
    )


def _write(file: IO[str], value: Mapping[str, Any]) -> None:
    file.write(json.dumps(value, ensure_ascii=False) + "\n")
    file.flush()


def _read(path: Path) -> tuple[Header, dict[str, list[Answer]], int]:
    """Also how many bytes are whole lines."""
    whole = path.read_bytes()
    whole = whole[: whole.rfind(b"\n") + 1]
    lines = whole.decode().splitlines()
    try:
        header = Header(**json.loads(lines[0]))
        answers = {}
        for line in lines[1:]:
            row = json.loads(line)
            answers[row["id"]] = [_answer(answer) for answer in row["answers"]]
    except (ValueError, KeyError, TypeError, IndexError):
        raise EvaluationError(f"{path} is not a file of answers of this version of varserve-eval") from None
    return header, answers, len(whole)


def _answer(row: Mapping[str, Any]) -> Answer:
    layers = row["layers"]
    if layers is not None:
        layers = {int(layer): tuple(values) for layer, values in layers.items()}
    return Answer(row["text"], row["tokens"], row["finish"], layers)
