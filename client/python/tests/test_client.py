"""The sync client and the real server."""

import asyncio
import dataclasses
import threading
import time
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from server_process import ServerProcess
from varserve.v1 import inference_pb2 as pb

from conftest import Start
from varserve import (
    AsyncClient,
    CancelledError,
    Client,
    DeadlineExceededError,
    InvalidArgumentError,
    UnavailableError,
    Var,
)
from varserve.model import Decoder, Limits, Model, VisionTower

OBJECTS = "A rocket, a bucket, a castle and a handbag."


def test_every_form_of_a_picture_gives_the_same_answer(client: Client, castle: Path) -> None:
    picture = PIL.Image.open(castle)
    for image in (castle, str(castle), castle.read_bytes(), picture, np.asarray(picture)):
        assert client.ask(image, "What is in the image?").text == OBJECTS


def test_a_reply_says_how_it_was_made(client: Client, castle: Path) -> None:
    reply = client.ask(castle, "What is in the image?", var=Var.on(preset="hallucination"), logprobs=2, request_id="me")
    assert (str(reply), reply.finish_reason, reply.started.request_id) == (OBJECTS, "stop", "me")
    assert reply.usage.generated_tokens == len(reply.tokens)
    assert reply.usage.visual_tokens == 256
    for token in reply.tokens:
        assert token.logprob is not None
        assert [one.logprob for one in token.top] == sorted((one.logprob for one in token.top), reverse=True)
        assert (token.top[0].token_id, token.top[0].logprob) == (token.id, token.logprob)  # greedy
    assert reply.started.var.preset == "hallucination"
    assert reply.started.var.rho == 0.5
    assert 0 < reply.timing.first_token_seconds < reply.timing.total_seconds


def test_a_stream_gives_the_reply_in_chunks(client: Client, castle: Path) -> None:
    stream = client.ask_stream(castle, "What is in the image?", logprobs=0)
    chunks = list(stream)
    assert len(chunks) > 5
    assert stream.started is not None
    reply = stream.reply()
    assert "".join(chunk.text for chunk in chunks) == reply.text == OBJECTS
    assert [token for chunk in chunks for token in chunk.tokens] == list(reply.tokens)


def test_several_pictures_and_turns(client: Client, castle: Path, koala: Path) -> None:
    assert client.ask([castle, koala], "How many objects are there?").usage.visual_tokens == 2 * 256
    reply = client.chat(
        [
            {"role": "user", "content": [{"type": "image", "path": castle}, {"type": "text", "text": "What is this?"}]},
            {"role": "assistant", "content": OBJECTS},
            {"role": "user", "content": "What color is the bucket?"},
        ]
    )
    assert reply.text == "Blue."
    with pytest.raises(InvalidArgumentError, match="explain"):
        reply.explain()
    assert (
        client.caption(castle, "long").usage.generated_tokens > client.caption(castle, "short").usage.generated_tokens
    )


def test_compare_gives_what_single_questions_give(client: Client, castle: Path) -> None:
    settings = [Var.off(), Var.observe(), Var.on(preset="hallucination"), Var.on(rho=0, min_visual_attention=0)]
    replies = client.compare(castle, "Describe the image.", settings, logprobs=0, max_tokens=16)
    for setting, reply in zip(settings, replies, strict=True):
        alone = client.ask(castle, "Describe the image.", var=setting, logprobs=0, max_tokens=16)
        assert (alone.text, alone.tokens) == (reply.text, reply.tokens)
    assert replies[0].report is None
    assert replies[0].text == replies[1].text != replies[3].text
    chunks: dict[int, str] = {}
    for setting, chunk in client.compare_stream(castle, "Describe the image.", settings[:2], max_tokens=16):
        chunks[setting] = chunks.get(setting, "") + chunk.text
    assert list(chunks.values()) == [reply.text for reply in replies[:2]]


def test_the_model_is_described(client: Client) -> None:
    model = client.model()
    assert (model.name, model.decoder.layers, model.vision_tower.rows) == ("embedded", 30, 16)
    assert model.var_profile is not None
    assert model.default_var.mode == "off"
    assert model.limits.max_settings >= 2
    assert model.instruction_set in {"baseline", "avx2", "avx512", "avx512_bf16", "amx_bf16"}


def test_descriptions_have_every_field_of_their_messages() -> None:
    for kind, message in (
        (Model, pb.Model),
        (Decoder, pb.Model.Decoder),
        (VisionTower, pb.Model.VisionTower),
        (Limits, pb.Model.Limits),
    ):
        assert {field.name for field in dataclasses.fields(kind)} == set(message.DESCRIPTOR.fields_by_name)


def test_errors_name_the_field(client: Client, castle: Path) -> None:
    for field, call in {
        "question": lambda: client.ask(castle, ""),
        "var.rho": lambda: client.ask(castle, "why", var=Var.on(rho=3)),
        "images[1].data": lambda: client.ask([castle, b"no picture"], "why"),
        "options.temperature": lambda: client.ask(castle, "why", temperature=9),
        "settings[1].p": lambda: client.compare(castle, "why", [Var.off(), Var.on(p=2)]),
        "request_id": lambda: client.ask(castle, "why", request_id="ä"),
    }.items():
        with pytest.raises(InvalidArgumentError) as caught:
            call()
        assert caught.value.field == field
        assert field in str(caught.value)


def test_a_picture_is_sent_once(start: Start, castle: Path, koala: Path) -> None:
    server = start("--image_cache=160K", metrics="127.0.0.1:0")  # room for one picture

    def counted(name: str) -> float:
        return sum(float(line.split()[-1]) for line in server.scrape().splitlines() if line.startswith(name + "{"))

    with Client(server.address) as client:
        answers = [client.ask(castle, "What is in the image?").text for _ in range(3)]
        assert len(set(answers)) == 1
        assert counted("varserve_image_cache_hits_total") == 2
        client.ask(koala, "What is in the image?")  # takes the room
        assert client.ask(castle, "What is in the image?").text == answers[0]
        assert counted("varserve_image_cache_queries_total") == 3
        assert counted("varserve_image_cache_hits_total") == 2

        async def ask_twice() -> list[str]:
            async with AsyncClient(server.address) as asynchronous:
                return [(await asynchronous.ask(castle, "What is in the image?")).text for _ in range(2)]

        assert asyncio.run(ask_twice()) == answers[:2]
        assert counted("varserve_image_cache_hits_total") == 3


def test_a_timeout_ends_the_call(client: Client, castle: Path) -> None:
    with pytest.raises(DeadlineExceededError):
        client.ask(castle, "Why?", max_tokens=2000, ignore_eos=True, timeout=0.5)


def test_cancelling_ends_the_call(client: Client, castle: Path) -> None:
    stream = client.ask_stream(castle, "Why?", max_tokens=2000, ignore_eos=True)
    next(stream)
    threading.Timer(0.2, stream.cancel).start()
    with pytest.raises(CancelledError):
        stream.reply()
    with client.ask_stream(castle, "Why?", max_tokens=2000, ignore_eos=True) as left:
        next(left)
    with pytest.raises(CancelledError):
        left.reply()


def test_closing_the_client_ends_its_calls(server: ServerProcess, castle: Path) -> None:
    client = Client(server.address)
    stream = client.ask_stream(castle, "Why?", max_tokens=2000, ignore_eos=True)
    next(stream)
    threading.Timer(0.2, client.close).start()
    with pytest.raises(CancelledError):
        stream.reply()
    with pytest.raises(ValueError, match="closed"):
        client.ask(castle, "Why?")


def test_without_a_server_the_call_fails_when_its_tries_are_used_up(castle: Path) -> None:
    with Client("127.0.0.1:1", timeout=20) as client:
        with pytest.raises(UnavailableError, match=r"the server at 127\.0\.0\.1:1 is not running; start it"):
            client.ask(castle, "why")
        start = time.monotonic()
        with pytest.raises(UnavailableError):
            client.model(max_retries=1)
        assert time.monotonic() - start >= 0.4  # the shortest first wait
