"""The asyncio client and the real server."""

import asyncio
from pathlib import Path

import pytest
from server_process import ServerProcess

from varserve import AsyncClient, CancelledError, Client, DeadlineExceededError, InvalidArgumentError, Var


def test_it_gives_what_the_sync_client_gives(server: ServerProcess, client: Client, castle: Path) -> None:
    questions = ["What is in the image?", "Is there a dog?", "Is there a castle?"]

    async def ask() -> None:
        async with AsyncClient(server.address) as asking:
            replies = await asyncio.gather(*(asking.ask(castle, question, var=Var.on()) for question in questions))
            for question, reply in zip(questions, replies, strict=True):
                expected = client.ask(castle, question, var=Var.on())
                assert (reply.text, reply.tokens) == (expected.text, expected.tokens)
                assert reply.report.layers == expected.report.layers
            explained = await replies[1].explain()
            assert explained.data["on"]["text"] == replies[1].text
            assert await asking.model() == client.model()
            compared = await asking.compare(castle, questions[1], [Var.off(), Var.on()])
            assert [reply.report is None for reply in compared] == [True, False]
            stream = asking.caption_stream(castle)
            text = "".join([chunk.text async for chunk in stream])
            assert text == (await stream.reply()).text == client.caption(castle).text

    asyncio.run(ask())


def test_calls_end_early(server: ServerProcess, castle: Path) -> None:
    long = {"max_tokens": 2000, "ignore_eos": True}

    async def ask() -> None:
        async with AsyncClient(server.address) as asking:
            with pytest.raises(DeadlineExceededError):
                await asking.ask(castle, "Why?", timeout=0.3, **long)
            task = asyncio.create_task(asking.ask(castle, "Why?", **long))
            await asyncio.sleep(0.2)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            async with asking.ask_stream(castle, "Why?", **long) as stream:
                await anext(stream)
                stream.cancel()
                with pytest.raises(CancelledError):
                    await stream.reply()
            with pytest.raises(InvalidArgumentError) as caught:
                await asking.ask(castle, "")
            assert caught.value.field == "question"
            stream = asking.ask_stream(castle, "Why?", **long)
            await anext(stream)
            closing = asyncio.create_task(asking.close())
            with pytest.raises(CancelledError):
                await stream.reply()
            await closing
        with pytest.raises(ValueError, match="closed"):
            await asking.ask(castle, "Why?")

    asyncio.run(ask())
