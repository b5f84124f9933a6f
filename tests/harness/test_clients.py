"""LangChain's and LiteLLM's clients of OpenAI's API: a question about a picture each, with VAR by name or by body."""

from __future__ import annotations

import base64
import unittest

import litellm
from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI
from running import CASTLE, NAME, serving

ANSWER = "A rocket, a bucket, a castle and a handbag."
CONTENT = [
    {
        "type": "image_url",
        "image_url": {"url": "data:image/jpeg;base64," + base64.b64encode(CASTLE.read_bytes()).decode()},
    },
    {"type": "text", "text": "What is in the image?"},
]


class ClientsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.url = f"http://{cls.enterClassContext(serving()).http_address}/v1"

    def test_langchain(self) -> None:
        model = ChatOpenAI(
            model=NAME,
            base_url=self.url,
            api_key="none",
            max_retries=0,
            extra_body={"var": {"mode": "on", "preset": "hallucination"}},
        )
        question = [HumanMessage(content=CONTENT)]
        reply = model.invoke(question)
        self.assertEqual(reply.content, ANSWER)
        self.assertGreater(reply.usage_metadata["output_tokens"], 0)
        self.assertEqual("".join(chunk.content for chunk in model.stream(question)), ANSWER)

    def test_litellm(self) -> None:
        reply = litellm.completion(
            model=f"openai/{NAME}+var",
            api_base=self.url,
            api_key="none",
            num_retries=0,
            messages=[{"role": "user", "content": CONTENT}],
        )
        self.assertEqual(reply.choices[0].message.content, ANSWER)
        self.assertGreater(reply.usage.completion_tokens, 0)


if __name__ == "__main__":
    unittest.main()
