"""VLMEvalKit's requests (vlmeval/api/lmdeploy.py, which run.py --base-url uses), byte for byte as its code and the
requests package write them. The kit itself is not in the package index."""

from __future__ import annotations

import base64
import json
import unittest

from raw import Connection
from running import NAME, PICTURES, client, serving

TEXT = "Is there a koala in the image? Please answer yes or no."


def messages() -> list[dict]:
    picture = base64.b64encode(PICTURES[0].read_bytes()).decode()
    image = {"url": f"data:image/jpeg;base64,{picture}"}
    return [{"role": "user", "content": [{"type": "text", "text": TEXT}, {"type": "image_url", "image_url": image}]}]


def request(address: str, **extra_body: object) -> bytes:
    payload = {"model": NAME, "messages": messages(), "max_tokens": 64, "n": 1, "temperature": 0, **extra_body}
    body = json.dumps(payload).encode()
    lines = [
        "POST /v1/chat/completions HTTP/1.1",
        f"Host: {address}",
        "User-Agent: python-requests/2.32.5",
        "Accept-Encoding: gzip, deflate",
        "Accept: */*",
        "Connection: keep-alive",
        "Content-Type: application/json",
        "Authorization: Bearer sk-123456",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class VlmEvalKitTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.server = cls.enterClassContext(serving())
        cls.connection = cls.enterClassContext(Connection(cls.server.http_address))

    def ask(self, **extra_body: object) -> dict:
        self.connection.send(request(self.server.http_address, **extra_body))
        status, reply = self.connection.reply()
        self.assertEqual(status, 200, reply)
        return reply

    def expected(self, model: str = NAME) -> str:
        reply = client(self.server).chat.completions.create(model=model, messages=messages(), max_tokens=64)
        return reply.choices[0].message.content

    def test_it_reads_the_answer(self) -> None:
        reply = self.ask()
        self.assertEqual(reply["choices"][0]["message"]["content"], self.expected())
        self.assertNotIn("var_report", reply)

    def test_extra_body_switches_var(self) -> None:
        reply = self.ask(var={"mode": "on", "preset": "hallucination"})
        self.assertEqual(reply["choices"][0]["message"]["content"], self.expected(f"{NAME}+var-hallucination"))
        self.assertIn("redistributed_attention", reply["var_report"])

    def test_stream(self) -> None:
        with Connection(self.server.http_address) as connection:
            connection.send(request(self.server.http_address, stream=True))
            data = b""
            while not data.endswith(b"0\r\n\r\n"):
                data += connection.socket.recv(1 << 16)
        events = [line[6:] for line in data.split(b"\n") if line.startswith(b"data: ")]
        self.assertEqual(events.pop().strip(), b"[DONE]")
        deltas = [json.loads(event)["choices"][0]["delta"].get("content") or "" for event in events]
        self.assertEqual("".join(deltas), self.expected())

    def test_the_kit_asks_for_the_model(self) -> None:
        """It takes the first name of /v1/models where --model is not given."""
        self.assertEqual(client(self.server).models.list().data[0].id, NAME)


if __name__ == "__main__":
    unittest.main()
