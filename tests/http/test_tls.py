"""TLS by the flags that gRPC has."""

from __future__ import annotations

import pathlib
import ssl
import tempfile
import time
import unittest

import httpx2
import openai
from running import NAME, certificate, question, serving, wait_until


class TlsTest(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        certificate(self.folder, "IP:127.0.0.1")
        self.flags = [f"--tls_cert={self.folder}/tls.crt", f"--tls_key={self.folder}/tls.key"]

    def client(self, address: str, with_certificate: bool = False) -> openai.OpenAI:
        context = ssl.create_default_context(cafile=str(self.folder / "ca.crt"))
        if with_certificate:
            context.load_cert_chain(self.folder / "tls.crt", self.folder / "tls.key")
        transport = self.enterContext(httpx2.Client(verify=context))
        return openai.OpenAI(base_url=f"https://{address}/v1", api_key="none", max_retries=0, http_client=transport)

    def test_answers_whole_and_in_pieces(self) -> None:
        with serving(*self.flags) as server:
            client = self.client(server.http_address)
            whole = client.chat.completions.create(model=NAME, messages=question())
            stream = client.chat.completions.create(model=NAME, messages=question(), stream=True)
            text = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
            self.assertEqual(text, whole.choices[0].message.content)
            self.assertTrue(text)

    def test_a_client_needs_a_certificate_where_there_is_an_authority(self) -> None:
        with serving(*self.flags, f"--tls_client_ca={self.folder}/ca.crt") as server:
            with self.assertRaises(openai.APIConnectionError):
                self.client(server.http_address).models.list()
            for _ in range(2):
                self.assertEqual(self.client(server.http_address, True).models.list().data[0].id, NAME)

    def test_a_new_certificate_is_used(self) -> None:
        with serving(*self.flags) as server:
            self.assertEqual(self.client(server.http_address).models.list().data[0].id, NAME)
            old = (self.folder / "ca.crt").read_text()
            certificate(self.folder, "IP:127.0.0.1")

            def answers() -> bool:
                try:
                    return bool(self.client(server.http_address).models.list().data[0].id == NAME)
                except openai.APIConnectionError:
                    time.sleep(0.5)
                    return False

            self.assertTrue(wait_until(answers))
            (self.folder / "ca.crt").write_text(old)
            with self.assertRaises(openai.APIConnectionError):
                self.client(server.http_address).models.list()


if __name__ == "__main__":
    unittest.main()
