"""What the openai package sends is answered as its types say."""

from __future__ import annotations

import asyncio
import contextlib
import re
import unittest

import openai
from running import NAME, PICTURES, ROOT, client, image_part, metric, question, serving, text_part, wait_until


class OpenAiPackageTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.server = cls.enterClassContext(serving())
        cls.client = client(cls.server)

    def ask(self, **options: object) -> openai.types.chat.ChatCompletion:
        return self.client.chat.completions.create(
            **{"model": NAME, "messages": question(), "max_tokens": 40, "temperature": 0.0, **options}
        )

    def refusal(self, **options: object) -> openai.APIStatusError:
        with self.assertRaises(openai.APIStatusError) as caught:
            self.ask(**options)
        return caught.exception

    def test_an_answer_is_a_chat_completion(self) -> None:
        reply = self.ask()
        self.assertEqual((reply.object, reply.model), ("chat.completion", NAME))
        choice = reply.choices[0]
        self.assertEqual((choice.message.role, choice.finish_reason, choice.logprobs), ("assistant", "stop", None))
        self.assertIn("koala", choice.message.content)
        self.assertEqual(reply.usage.total_tokens, reply.usage.prompt_tokens + reply.usage.completion_tokens)
        self.assertGreater(reply.usage.prompt_tokens, 256)
        self.assertFalse(hasattr(reply, "var_report"))

    def test_the_code_of_the_readme_runs(self) -> None:
        blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
        (code,) = (block for block in blocks if "openai" in block)
        code = code.replace("localhost:8000", self.server.http_address).replace("picture.jpg", str(PICTURES[1]))
        names: dict[str, object] = {}
        exec(compile(code, "README.md", "exec"), names)
        self.assertTrue(names["reply"].choices[0].message.content)

    def test_a_stream_has_the_same_text_in_pieces(self) -> None:
        chunks = list(self.ask(stream=True))
        self.assertEqual(chunks[0].choices[0].delta.role, "assistant")
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        self.assertEqual(text, self.ask().choices[0].message.content)
        self.assertGreater(len(chunks), 5)
        self.assertEqual([chunk.choices[0].finish_reason for chunk in chunks[-2:]], [None, "stop"])
        self.assertTrue(all(chunk.usage is None for chunk in chunks))

    def test_a_stream_ends_with_its_usage_if_asked(self) -> None:
        *chunks, last = self.ask(stream=True, stream_options={"include_usage": True})
        self.assertEqual((last.choices, chunks[-1].choices[0].finish_reason), ([], "stop"))
        whole = self.ask().usage
        self.assertEqual(
            (last.usage.prompt_tokens, last.usage.completion_tokens), (whole.prompt_tokens, whole.completion_tokens)
        )

    def test_many_at_once_without_blocking(self) -> None:
        async def ask_all() -> list[str]:
            async with openai.AsyncOpenAI(base_url=str(self.client.base_url), api_key="none") as asynchronous:

                async def one() -> str:
                    stream = await asynchronous.chat.completions.create(
                        model=NAME, messages=question(), max_tokens=40, temperature=0, stream=True
                    )
                    return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

                return await asyncio.gather(*(one() for _ in range(12)))

        self.assertEqual(set(asyncio.run(ask_all())), {self.ask().choices[0].message.content})

    def test_pictures_and_turns(self) -> None:
        messages = [
            {"role": "system", "content": "Answer shortly."},
            {"role": "user", "content": [text_part("What is this?"), image_part(PICTURES[1]), image_part(PICTURES[0])]},
            {"role": "assistant", "content": [text_part("Two pictures.")]},
            {"role": "user", "content": "What is in the second one?"},
        ]
        reply = self.ask(messages=messages, max_tokens=4)
        self.assertEqual(reply.usage.prompt_tokens_details.model_extra["visual_tokens"], 512)

    def test_sampling(self) -> None:
        one, two = (self.ask(temperature=1.5, top_p=0.9, seed=-7).choices[0].message.content for _ in range(2))
        self.assertEqual(one, two)
        self.assertEqual(self.ask(max_completion_tokens=2).choices[0].finish_reason, "length")
        self.assertEqual(self.ask(max_completion_tokens=2).usage.completion_tokens, 2)
        stopped = self.ask(stop=["koala", "never"]).choices[0]
        self.assertEqual(stopped.finish_reason, "stop")
        self.assertNotIn("koala", stopped.message.content)

    def test_several_answers_have_seeds_of_their_own(self) -> None:
        reply = self.ask(n=8, temperature=4, seed=1, max_tokens=8)
        self.assertEqual([choice.index for choice in reply.choices], list(range(8)))
        self.assertGreater(len({choice.message.content for choice in reply.choices}), 1)
        self.assertEqual(reply.usage.completion_tokens, 8 * 8)
        single = self.ask(temperature=4, seed=1, max_tokens=8)
        self.assertEqual(single.choices[0].message.content, reply.choices[0].message.content)
        streamed = [""] * 8
        for chunk in self.ask(n=8, temperature=4, seed=1, max_tokens=8, stream=True):
            streamed[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
        self.assertEqual(streamed, [choice.message.content for choice in reply.choices])

    def test_logprobs(self) -> None:
        reply = self.ask(logprobs=True, top_logprobs=3)
        tokens = reply.choices[0].logprobs.content
        self.assertEqual(len(tokens), reply.usage.completion_tokens)
        for token in tokens:
            self.assertEqual(len(token.top_logprobs), 3)
            self.assertEqual((token.token, token.logprob), (token.top_logprobs[0].token, token.top_logprobs[0].logprob))
            self.assertEqual(bytes(token.bytes).decode(), token.token)
        streamed = [
            token
            for chunk in self.ask(logprobs=True, stream=True)
            if chunk.choices[0].logprobs
            for token in chunk.choices[0].logprobs.content
        ]
        self.assertEqual([token.token for token in streamed], [token.token for token in tokens])

    def test_var_by_body_and_by_name(self) -> None:
        body = self.ask(extra_body={"var": {"mode": "on", "preset": "hallucination", "detail": "layers"}})
        name = self.ask(model=f"{NAME}+var-hallucination")
        self.assertEqual(name.var_report, body.var_report)
        effective = name.var_report["effective"]
        self.assertEqual((effective["mode"], effective["preset"]), ("VAR_MODE_ON", "VAR_PRESET_HALLUCINATION"))
        self.assertGreater(len(name.var_report["layers"]), 1)
        observed = self.ask(model=f"{NAME}+observe", extra_body={"var": {"detail": "none"}})
        self.assertEqual(observed.choices[0].message.content, self.ask().choices[0].message.content)
        self.assertEqual((observed.var_report["layers"], observed.var_report["redistributed_attention"]), ([], 0))

    def test_another_intervention_by_body_and_by_name(self) -> None:
        body = self.ask(extra_body={"intervention": {"pai": {"alpha": 0.2}}})
        name = self.ask(model=f"{NAME}+pai")
        self.assertEqual(name.intervention_report, body.intervention_report)
        self.assertFalse(hasattr(name, "var_report"))
        report = name.intervention_report
        self.assertGreater(report["visual_attention_after"], report["visual_attention_before"])
        neutral = self.ask(model=f"{NAME}+spin", extra_body={"intervention": {"spin": {"kept_head_ratio": 1}}})
        self.assertEqual(neutral.choices[0].message.content, self.ask().choices[0].message.content)
        self.assertEqual(neutral.intervention_report["changed_head_ratio"], 0)

    def test_a_contrast_by_body_and_by_name(self) -> None:
        body = self.ask(extra_body={"intervention": {"vcd": {"alpha": 1}, "var": {"mode": "on"}}})
        name = self.ask(model=f"{NAME}+var+vcd")
        self.assertEqual(name.choices[0].message.content, body.choices[0].message.content)
        self.assertEqual(name.contrast_report["changed_tokens"], body.contrast_report["changed_tokens"])
        self.assertGreater(name.var_report["redistributed_attention"], 0)
        self.assertGreater(name.usage.sibling_tokens, name.usage.prompt_tokens)
        neutral = self.ask(model=f"{NAME}+icd", extra_body={"intervention": {"icd": {"alpha": 0, "beta": 0}}})
        self.assertEqual(neutral.choices[0].message.content, self.ask().choices[0].message.content)
        self.assertEqual(neutral.contrast_report["contrasted_tokens"], 0)
        with self.assertRaisesRegex(openai.BadRequestError, "intervention.pai.gamma: is a contrast"):
            self.ask(extra_body={"intervention": {"pai": {"gamma": 1.1}, "m3id": {}}})

    def test_the_last_chunk_has_the_report(self) -> None:
        whole = self.ask(model=f"{NAME}+var").var_report
        for options in ({}, {"stream_options": {"include_usage": True}}):
            *others, last = self.ask(model=f"{NAME}+var", stream=True, **options)
            self.assertEqual(last.var_report, whole)
            self.assertFalse(any(hasattr(chunk, "var_report") for chunk in others))
        choices = self.ask(model=f"{NAME}+var", n=2).choices
        self.assertEqual([choice.var_report for choice in choices], [whole, whole])

    def test_one_model(self) -> None:
        for name in (NAME, f"{NAME}+var", f"{NAME}+pai+vcd"):
            self.assertEqual(self.client.models.retrieve(name).id, name)
        with self.assertRaisesRegex(openai.NotFoundError, "is not served here; there is"):
            self.client.models.retrieve(f"{NAME}+vcd+pai")

    def test_models(self) -> None:
        names = [model.id for model in self.client.models.list()]
        suffixes = (
            "",
            "+var",
            "+var-general",
            "+var-hallucination",
            "+var-vision_centric",
            "+observe",
            "+pai",
            "+vaf",
            "+spin",
            "+vcd",
            "+icd",
            "+m3id",
        )
        self.assertEqual(names, [NAME + suffix for suffix in suffixes])

    def test_what_is_wrong_is_named(self) -> None:
        http = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
        broken = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
        for options, param in (
            ({"temperature": 9}, "temperature"),
            ({"max_tokens": 0}, "max_tokens"),
            ({"n": 99}, "n"),
            ({"top_logprobs": 3}, "top_logprobs"),
            ({"stop": [""]}, "stop[0]"),
            ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
            ({"response_format": {"type": "json_object"}}, "response_format.type"),
            ({"presence_penalty": 1}, "presence_penalty"),
            ({"messages": []}, "messages"),
            ({"messages": [{"role": "tool", "content": "", "tool_call_id": ""}]}, "messages[0].role"),
            ({"messages": [{"role": "user", "content": [http]}]}, "messages[0].content[0].image_url.url"),
            ({"messages": [{"role": "user", "content": [broken]}]}, "messages[0].content[0].image_url.url"),
            ({"extra_body": {"var": {"mode": "sometimes"}}}, "var.mode"),
            ({"extra_body": {"var": {"rho": 2}}, "model": f"{NAME}+var"}, "var.rho"),
            ({"extra_body": {"var": {"roh": 0.2}}}, "var.roh"),
        ):
            with self.subTest(param):
                error = self.refusal(**options)
                self.assertEqual((error.status_code, error.param), (400, param), error)
        error = self.refusal(model="gpt-4o")
        self.assertEqual((error.status_code, error.param, error.code), (404, "model", "model_not_found"))

    def test_what_changes_no_answer_is_ignored(self) -> None:
        fields = {"user": "me", "metadata": {"a": "b"}, "store": False, "tools": [], "frequency_penalty": 0, "x": [[]]}
        reply = self.ask(extra_body={**fields, "chat_template_kwargs": {"enable_thinking": False}})
        self.assertEqual(reply.choices[0].message.content, self.ask().choices[0].message.content)

    def test_who_leaves_is_cancelled(self) -> None:
        before = metric(self.server, "requests_total", 'code="CANCELLED"', 'transport="http"')
        stream = self.ask(stream=True, max_tokens=2000, extra_body={"ignore_eos": True})
        next(iter(stream))
        stream.close()
        # Before there is any reply.
        with contextlib.suppress(openai.APITimeoutError):
            self.ask(max_tokens=2000, extra_body={"ignore_eos": True}, timeout=0.3)
        cancelled = ("requests_total", 'code="CANCELLED"', 'transport="http"')
        self.assertTrue(wait_until(lambda: metric(self.server, *cancelled) == before + 2))
        self.assertTrue(wait_until(lambda: metric(self.server, "requests_running") == 0))

    def test_the_request_id_is_the_callers(self) -> None:
        raw = self.client.chat.completions.with_raw_response.create(
            model=NAME, messages=question(), max_tokens=1, extra_headers={"x-request-id": "mine"}
        )
        self.assertEqual((raw.headers["x-request-id"], raw.parse().id), ("mine", "chatcmpl-mine"))
        self.assertIn("request_id=mine", self.server.log())


if __name__ == "__main__":
    unittest.main()
