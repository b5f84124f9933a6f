"""Arguments become the messages of proto/, and what is wrong is named before anything is sent."""

import io
import re
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from varserve.v1 import inference_pb2 as pb
from varserve.v1 import intervention_pb2, var_pb2

from varserve import Client, Icd, InterventionReport, InvalidArgumentError, M3id, Pai, Spin, Vaf, Var, Vcd, requests
from varserve.evaluation.answers_file import Header
from varserve.evaluation.errors import EvaluationError
from varserve.evaluation.plots import write_plots
from varserve.evaluation.results import Results
from varserve.generation import CallOptions, Options
from varserve.images import encode
from varserve.intervention import METHODS, from_proto, parse_setting
from varserve.kept_images import MOST_IMAGES, KeptImages, digests_of, naming

PNG = b"\x89PNG\r\n\x1a\n"


def test_var_becomes_its_message_and_back() -> None:
    var = Var.on(
        preset="hallucination", variant="authors_code", rho=0.25, first_layer=0, map_layers=[1, 2], detail="maps"
    )
    message = var.to_proto()
    assert message == var_pb2.VarOptions(
        mode=var_pb2.VAR_MODE_ON,
        preset=var_pb2.VAR_PRESET_HALLUCINATION,
        variant=var_pb2.VAR_VARIANT_AUTHORS_CODE,
        rho=0.25,
        first_layer=0,
        map_layers=[1, 2],
        detail=var_pb2.VAR_DETAIL_MAPS,
    )
    assert Var.from_proto(message) == var
    assert Var.from_proto(var_pb2.VarOptions(preset=99)) == Var()  # of a newer server


def test_var_knows_every_field_of_the_message() -> None:
    assert {field.name for field in var_pb2.VarOptions.DESCRIPTOR.fields} == set(Var.__dataclass_fields__)


def test_var_is_written_in_one_word_on_a_command_line() -> None:
    assert Var.parse("off") == Var.off()
    assert Var.parse("on:preset=hallucination,rho=0.3,last_layer=7") == Var.on(
        preset="hallucination", rho=0.3, last_layer=7
    )
    for text, field in (("maybe", "mode"), ("on:rho=x", "rho"), ("on:rho", "var"), ("on:size=1", "var")):
        with pytest.raises(InvalidArgumentError) as caught:
            Var.parse(text)
        assert caught.value.field == field


def test_other_interventions_become_their_messages_and_back() -> None:
    message = Pai(alpha=0.5, first_layer=0, detail="maps").to_proto()
    assert message == intervention_pb2.Intervention(
        pai=intervention_pb2.PaiOptions(alpha=0.5, first_layer=0, detail=var_pb2.VAR_DETAIL_MAPS)
    )
    assert from_proto(message) == Pai(alpha=0.5, first_layer=0, detail="maps")
    assert Vaf().to_proto().WhichOneof("method") == "vaf"  # all defaults are a choice too
    assert from_proto(intervention_pb2.Intervention(var=var_pb2.VarOptions(p=0.5))) == Var(p=0.5)
    assert from_proto(intervention_pb2.Intervention()) is None  # of a newer server


def test_every_method_and_field_of_the_messages_is_known() -> None:
    methods = {field.name: field.message_type for field in intervention_pb2.Intervention.DESCRIPTOR.fields}
    assert methods.pop("var") is var_pb2.VarOptions.DESCRIPTOR
    assert methods.keys() == METHODS.keys()
    for name, options in methods.items():
        assert {field.name for field in options.fields} == set(METHODS[name].__dataclass_fields__) - {"attention"}


def test_a_contrast_goes_beside_a_method_that_changes_attention() -> None:
    message = Vcd(alpha=0.5, noise_seed=3, attention=Var.on(rho=0.25)).to_proto()
    assert message == intervention_pb2.Intervention(
        vcd=intervention_pb2.VcdOptions(alpha=0.5, noise_seed=3),
        var=var_pb2.VarOptions(mode=var_pb2.VAR_MODE_ON, rho=0.25),
    )
    assert from_proto(message) == Vcd(alpha=0.5, noise_seed=3, attention=Var.on(rho=0.25))
    assert from_proto(Icd(disturbance="Guess.").to_proto()) == Icd(disturbance="Guess.")
    assert requests.setting(Var.on(), Vcd()) == Vcd(attention=Var.on())
    assert parse_setting("pai:alpha=0.3+m3id:confidence=1") == M3id(confidence=1, attention=Pai(alpha=0.3))
    assert parse_setting("on:rho=1e+0+icd") == Icd(attention=Var.on(rho=1))
    for text, problem in {
        "vcd+icd": "Vcd and Icd are both contrasts",
        "pai+spin": "Pai and Spin both change attention",
        "on+pai+vcd": "Var and Pai both change attention",
        "on+vcd+pai": "Var and Pai both change attention",
    }.items():
        with pytest.raises(InvalidArgumentError, match=f"intervention: {problem}; give one of them"):
            parse_setting(text)


def test_a_setting_is_written_in_one_word_on_a_command_line() -> None:
    assert parse_setting("on:rho=0.5") == Var.on(rho=0.5)
    assert parse_setting("vaf") == Vaf()
    assert parse_setting("spin:kept_head_ratio=0.5,last_layer=7") == Spin(kept_head_ratio=0.5, last_layer=7)
    for text, field in (("maybe", "setting"), ("pai:beta=1", "pai"), ("pai:alpha=x", "alpha")):
        with pytest.raises(InvalidArgumentError) as caught:
            parse_setting(text)
        assert caught.value.field == field


def test_a_request_has_var_or_another_intervention() -> None:
    request = requests.ask(PNG, "why", requests.setting(None, Pai()), {}, {})
    assert request.message.intervention.HasField("pai")
    assert not request.message.HasField("var")
    explainable = requests.explainable(request)
    assert explainable is not None
    assert explainable.intervention == request.message.intervention
    turns = requests.question_turn(PNG, "why")
    assert len(requests.compare(turns, [Var.off(), Var.on()], {}, {}).message.settings) == 2
    compare = requests.compare(turns, [Var.off(), Spin()], {}, {}).message
    assert not compare.settings
    assert [one.WhichOneof("method") for one in compare.interventions] == ["var", "spin"]


def test_options_are_the_fields_of_the_message() -> None:
    request = requests.ask(PNG, "why", None, {"max_tokens": 3, "stop": ".", "logprobs": 0, "timeout": 2}, {})
    assert request.message.options == pb.GenerateOptions(max_tokens=3, stop=["."], logprobs=0)
    assert request.call == {"timeout": 2}
    fields = {field.name for field in pb.GenerateOptions.DESCRIPTOR.fields}
    assert fields == Options.__optional_keys__ - CallOptions.__optional_keys__
    with pytest.raises(TypeError, match="max_new_tokens"):
        requests.ask(PNG, "why", None, {"max_new_tokens": 3}, {})
    with pytest.raises(InvalidArgumentError, match=r"options\.max_tokens"):
        requests.ask(PNG, "why", None, {"max_tokens": "many"}, {})


def test_values_of_a_wrong_type_are_named() -> None:
    turns = requests.question_turn(PNG, "why")
    for field, make in {
        "var": lambda: requests.setting("on", None),
        "intervention": lambda: requests.setting(None, "pai"),
        "attention": lambda: Vcd(attention="on"),
        "detail": lambda: Pai(detail=3),
        "map_layers": lambda: Var.on(map_layers=3),
        "var.map_layers": lambda: Var.on(map_layers=["x"]).to_proto(),
        "var.rho": lambda: Var.on(rho="x").to_proto(),
        "pai.alpha": lambda: Pai(alpha="x").to_proto(),
        "icd.disturbance": lambda: Icd(disturbance=3).to_proto(),
        "options.temperature": lambda: requests.ask(PNG, "why", None, {"temperature": "hot"}, {}),
        "options.seed": lambda: requests.ask(PNG, "why", None, {"seed": -1}, {}),
        "options.stop": lambda: requests.ask(PNG, "why", None, {"stop": [3]}, {}),
        "timeout": lambda: requests.model({}, {"timeout": "soon"}),
        "max_retries": lambda: requests.model({"max_retries": "many"}, {}),
        "request_id": lambda: requests.model({"request_id": 7}, {}),
        "question": lambda: requests.ask(PNG, 7, None, {}, {}),
        "settings": lambda: requests.compare(turns, Var.on(), {}, {}),
        "settings[1]": lambda: requests.compare(turns, [Var.on(), "on"], {}, {}),
        "messages": lambda: requests.chat("hello", None, {}, {}),
        "messages[0]": lambda: requests.chat(["hello"], None, {}, {}),
        "messages[0].content[0]": lambda: requests.chat([{"role": "user", "content": ["x"]}], None, {}, {}),
        "address": lambda: Client(7),
        "token": lambda: Client(token=7),
        "tls": lambda: Client(tls=True),
    }.items():
        with pytest.raises(InvalidArgumentError) as caught:
            make()
        assert caught.value.field == field
    for make in (lambda: requests.question_turn(PNG, 7), lambda: requests.picture_question(PNG, 7, None, {}, {})):
        with pytest.raises(InvalidArgumentError, match="question: must be a text, not 7"):
            make()
    with pytest.raises(TypeError, match="max_tokens: there is no such option"):
        requests.model({"max_tokens": 3}, {})


def test_pictures_come_in_every_form(tmp_path: Path) -> None:
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    path = tmp_path / "picture.png"
    PIL.Image.fromarray(pixels).save(path)
    assert encode(path) == encode(str(path)) == encode(path.read_bytes()) == path.read_bytes()
    for image in (pixels, PIL.Image.fromarray(pixels), pixels[..., 0], np.dstack([pixels, pixels[..., :1]])):
        decoded = np.asarray(PIL.Image.open(io.BytesIO(encode(image))))
        assert (decoded == np.asarray(image)).all()
    for wrong in (pixels / 255, pixels[None], np.zeros((0, 4, 3), np.uint8)):
        with pytest.raises(InvalidArgumentError):
            encode(wrong)
    with pytest.raises(InvalidArgumentError, match="no-such-file"):
        encode("no-such-file.jpg")
    with pytest.raises(TypeError, match="int"):
        encode(3)


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As docs/python.md installs it, from the clone."""
    layers = InterventionReport.from_proto(intervention_pb2.InterventionReport())
    results = Results(Header("pope", "official", "m", [], 9, None, [], 0), "off", [])
    for extra, package, use in (
        ("images", "PIL", lambda: encode(np.zeros((2, 2), np.uint8))),
        ("pandas", "pandas", layers.layers_frame),
        ("plots", "matplotlib.figure", lambda: write_plots(results, tmp_path)),
    ):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises((ImportError, EvaluationError), match=re.escape(f"'./client/python[{extra}]' in the clone")):
            use()


def test_a_conversation_is_written_as_for_chat_templates() -> None:
    request = requests.chat(
        [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "image", "image": PNG}, {"type": "text", "text": "What?"}]},
        ],
        None,
        {},
        {},
    )
    system, user = request.message.messages
    assert (system.role, system.parts[0].text) == (pb.ROLE_SYSTEM, "Be brief.")
    assert (user.role, user.parts[0].image.data, user.parts[1].text) == (pb.ROLE_USER, PNG, "What?")
    for turn, field in (
        ({"role": "robot", "content": "x"}, "messages[0].role"),
        ({"role": "user"}, "messages[0].content"),
        ({"role": "user", "content": [{"type": "video"}]}, "messages[0].content[0]"),
    ):
        with pytest.raises(InvalidArgumentError) as caught:
            requests.chat([turn], None, {}, {})
        assert caught.value.field == field


def test_the_digest_is_over_all_pictures() -> None:
    """As client/image_digest.h, so that a proxy sends all questions about a picture to one replica."""
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert requests.ask(b"abc", "why", None, {}, {}).image_digest == abc
    assert requests.ask([b"a", b"bc"], "why", None, {}, {}).image_digest == abc
    assert requests.caption(b"abc", "short", None, {}, {}).image_digest == abc
    turns = requests.question_turn([b"a", b"bc"], "why")
    assert requests.compare(turns, [Var.off()], {}, {}).image_digest == abc
    assert requests.chat([{"role": "user", "content": "Hello"}], None, {}, {}).image_digest == ""


def test_images_are_named_by_their_digests() -> None:
    turns = requests.question_turn([b"abc", b"d"], "why")
    request = requests.compare(turns, [Var.off()], {}, {}).message
    first, second = digests_of(request)
    assert first == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    kept = KeptImages()
    kept.add([first])
    assert kept.among([first, second]) == {first}
    parts = naming(request, {first}).request.messages[0].parts
    assert [part.image for part in parts[:2]] == [pb.Image(sha256=first), pb.Image(data=b"d")]
    assert request.request.messages[0].parts[0].image.data == b"abc"  # as it was
    kept.remove([first])
    assert kept.among([first]) == set()
    kept.add(map(str, range(MOST_IMAGES + 1)))
    assert kept.among(["0", "1"]) == {"1"}
