"""HTTP and gRPC are two interfaces to one pipeline: the same text, tokens and report for the same request."""

from __future__ import annotations

import random
import unittest

from google.protobuf import json_format
from running import NAME, PICTURES, client, pb, question, serving, stub, var_pb

COUNT = 100
QUESTIONS = ["What is in the image?", "Is there a koala?", "How many objects are there?", "Describe the picture."]
SETTINGS = [
    {},
    {"mode": "on"},
    {"mode": "observe", "detail": "tokens"},
    {"mode": "on", "preset": "vision_centric", "rho": 0.3, "first_layer": 2, "detail": "maps", "map_layers": [3, 4]},
]


def var_options(setting: dict) -> var_pb.VarOptions:
    prefixes = {"mode": "VAR_MODE_", "preset": "VAR_PRESET_", "detail": "VAR_DETAIL_"}
    full = {name: f"{prefixes[name]}{value.upper()}" if name in prefixes else value for name, value in setting.items()}
    return json_format.ParseDict(full, var_pb.VarOptions())


class SameAsGrpcTest(unittest.TestCase):
    def test_text_tokens_and_report(self) -> None:
        chances = random.Random(1)
        with serving() as server:
            http, grpc_stub = client(server), stub(server)
            for number in range(COUNT):
                text, picture = chances.choice(QUESTIONS), chances.choice(PICTURES)
                setting = chances.choice(SETTINGS)
                sampling = {
                    "temperature": chances.choice([0.0, 1.5]),
                    "seed": number,
                    "max_tokens": chances.randint(1, 12),
                }
                reply = http.chat.completions.create(
                    model=NAME,
                    messages=question(text, picture),
                    logprobs=True,
                    top_logprobs=2,
                    extra_body={"var": setting} if setting else {},
                    **sampling,
                )
                parts = [pb.Part(image=pb.Image(data=picture.read_bytes())), pb.Part(text=text)]
                request = pb.GenerateRequest(
                    messages=[pb.Message(role=pb.ROLE_USER, parts=parts)],
                    options=pb.GenerateOptions(logprobs=2, **sampling),
                    var=var_options(setting),
                )
                events = list(grpc_stub.Generate(request))
                finished = events[-1].finished
                with self.subTest(number=number, setting=setting):
                    self.assertEqual(reply.choices[0].message.content, finished.text)
                    ours = [token.logprob for token in reply.choices[0].logprobs.content]
                    theirs = [token.logprob for event in events for token in event.delta.logprobs]
                    self.assertEqual(len(ours), finished.usage.generated_tokens)
                    for one, other in zip(ours, theirs, strict=True):
                        self.assertAlmostEqual(one, other, places=5)
                    self.assertEqual(reply.usage.prompt_tokens, finished.usage.prompt_tokens)
                    report = getattr(reply, "var_report", None)
                    self.assertEqual(report is not None, finished.HasField("var_report"))
                    if report is not None:
                        self.assertEqual(
                            json_format.ParseDict(report, var_pb.VarReport()).SerializeToString(deterministic=True),
                            finished.var_report.SerializeToString(deterministic=True),
                        )


if __name__ == "__main__":
    unittest.main()
