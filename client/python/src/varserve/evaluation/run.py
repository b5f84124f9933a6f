"""Asks a server all questions of a benchmark under all settings, several at a time."""

from __future__ import annotations

import random
import re
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from varserve.client import Client
from varserve.errors import InvalidArgumentError
from varserve.evaluation.answers_file import Answer, AnswersFile, answer_of
from varserve.evaluation.benchmark import Question
from varserve.evaluation.errors import EvaluationError
from varserve.requests import Setting, Turn, question_turn

PATIENCE = 100  # tries: a full server says when it has room, a restarted one is back soon


def choose(questions: Sequence[Question], subsets: Sequence[str], limit: int | None) -> list[Question]:
    """Those of the subsets; all questions of `limit` units, drawn the same way each time."""
    chosen = [question for question in questions if not subsets or question.subset in subsets]
    if limit is None:
        return chosen
    units = sorted({question.unit for question in chosen})
    drawn = set(random.Random(0).sample(units, min(limit, len(units))))
    return [question for question in chosen if question.unit in drawn]


def ask_all(
    client: Client,
    questions: Sequence[Question],
    settings: Mapping[str, Setting],
    max_tokens: int,
    answers: AnswersFile,
    concurrency: int,
) -> None:
    """`settings`: by how they are written. Questions that are answered already are left out. As many are asked at once
    as `concurrency` says; if the server has less room, its refusals say when to ask again."""
    max_settings = client.model(max_retries=PATIENCE).limits.max_settings
    left = [question for question in questions if question.id not in answers.done]
    progress = Progress(len(questions), len(questions) - len(left))
    asking: dict[Future[list[Answer]], Question] = {}
    pool = ThreadPoolExecutor(concurrency)
    try:
        for question in left:
            asking[pool.submit(_ask, client, question, settings, max_settings, max_tokens)] = question
            if len(asking) >= 2 * concurrency:
                _collect(asking, answers, progress)
        while asking:
            _collect(asking, answers, progress)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        progress.close()


def _ask(
    client: Client, question: Question, settings: Mapping[str, Setting], max_settings: int, max_tokens: int
) -> list[Answer]:
    turns: list[Turn] = question_turn(list(question.images), question.text)
    answers: list[Answer] = []
    for begin in range(0, len(settings), max_settings):
        some = list(settings)[begin : begin + max_settings]
        try:
            replies = client.compare_chat(
                turns, [settings[one] for one in some], max_tokens=max_tokens, max_retries=PATIENCE
            )
        except InvalidArgumentError as error:
            if found := re.match(r"(?:settings|interventions)\[(\d+)\][.:] ?(.*)", error.message):
                raise EvaluationError(f"--settings {some[int(found[1])]}: {found[2]}") from error
            raise EvaluationError(f"question {question.id}: {error}") from error
        answers += [answer_of(reply) for reply in replies]
    return answers


def _collect(asking: dict[Future[list[Answer]], Question], answers: AnswersFile, progress: Progress) -> None:
    done, _ = wait(asking, return_when=FIRST_COMPLETED)
    for future in done:
        question = asking.pop(future)
        answers.add(question.id, future.result())
        progress.add()


class Progress:
    """A line on standard error: rewritten in place on a terminal, else once in a while."""

    def __init__(self, total: int, done: int) -> None:
        self._total = total
        self._done = self._before = done
        self._start = self._shown = time.monotonic()
        self._terminal = sys.stderr.isatty()

    def add(self) -> None:
        self._done += 1
        now = time.monotonic()
        if now - self._shown >= (0.5 if self._terminal else 30):
            self._show(now)

    def close(self) -> None:
        self._show(time.monotonic())
        if self._terminal:
            print(file=sys.stderr)

    def _show(self, now: float) -> None:
        self._shown = now
        rate = (self._done - self._before) / max(now - self._start, 1e-9)
        left = f", {(self._total - self._done) / rate / 60:.0f} min left" if rate and self._done < self._total else ""
        line = f"{self._done} of {self._total} questions, {rate:.1f} a second{left}"
        print(f"\r{line}\x1b[K" if self._terminal else line, end="" if self._terminal else "\n", file=sys.stderr)
