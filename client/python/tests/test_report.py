"""Evidence as dataclasses, arrays and data frames."""

from pathlib import Path

import numpy as np
import pytest

from varserve import Client, Icd, Pai, Spin, Vaf, Var, Vcd


def test_the_report_adds_up(client: Client, castle: Path) -> None:
    report = client.ask(castle, "What is in the image?", var=Var.on(detail="tokens", rho=0.5)).report
    assert report is not None
    assert report.effective.rho == 0.5
    layers = report.layers_frame()
    assert list(layers.index) == list(range(report.effective.first_layer, report.effective.last_layer + 1))
    for name in ("visual_sink_tokens", "redistributed_attention", "visual_attention_before", "visual_attention_after"):
        assert layers[name].mean() == pytest.approx(getattr(report, name), rel=1e-4)
    sinks = report.visual_sinks_frame()
    assert len(sinks) == report.distinct_visual_sinks > 0
    assert (sinks["max_phi"] >= report.effective.tau).all()
    tokens = report.tokens_frame()
    assert len(tokens) == report.eligible_rows
    assert "".join(tokens["text"][tokens["generated"]]).startswith("A rocket, a bucket")
    assert tokens["visual_attention_after"].mean() == pytest.approx(report.visual_attention_after, rel=1e-4)


def test_maps_have_the_shape_of_each_picture(client: Client, castle: Path, koala: Path) -> None:
    reply = client.ask([castle, koala], "What is in the image?", var=Var.on(detail="maps", rho=0.3), max_tokens=4)
    assert [maps.image for maps in reply.report.maps] == [0, 1]
    for maps in reply.report.maps:
        assert maps.before.shape == maps.after.shape == maps.change.shape == (len(maps.positions), 16, 16)
    by_position = {token.position: token for token in reply.report.tokens}
    first, second = reply.report.maps
    for row, position in enumerate(first.positions):
        seen = first.before[row].sum() + second.before[row].sum()
        assert seen == pytest.approx(by_position[position].visual_attention_before, rel=1e-3)
    assert np.abs(first.change).max() > 0


def test_nothing_is_measured_with_var_off(client: Client, castle: Path) -> None:
    assert client.ask(castle, "What is in the image?", var=Var.off()).report is None


def test_other_interventions_have_a_report_too(client: Client, castle: Path) -> None:
    off, *replies = client.compare(
        castle, "What is in the image?", [Var.off(), Pai(detail="maps"), Vaf(detail="tokens"), Spin(), Pai(alpha=0)]
    )
    for reply in replies:
        assert reply.report is None
        assert reply.started.var.mode == "off"
        report = reply.intervention_report
        assert report.effective.first_layer is not None
        layers = report.layers_frame()
        assert list(layers.index) == list(range(report.effective.first_layer, report.effective.last_layer + 1))
        assert layers["visual_attention_after"].mean() == pytest.approx(report.visual_attention_after, rel=1e-4)
    pai, vaf, spin, neutral = replies
    assert pai.intervention_report.visual_attention_after > pai.intervention_report.visual_attention_before
    assert pai.intervention_report.maps[0].change.sum() > 0
    assert len(vaf.intervention_report.tokens_frame()) == vaf.intervention_report.rows > pai.intervention_report.rows
    assert spin.intervention_report.changed_head_ratio == pytest.approx(1 / 9)  # 8 of 9 heads are kept
    assert neutral.text == off.text
    known = [kind.__name__ for kind in map(type, client.model().interventions)]
    assert known == ["Var", "Pai", "Vaf", "Spin", "Vcd", "Icd", "M3id"]


def test_contrasts_have_a_report_too(client: Client, castle: Path) -> None:
    off, vcd, icd, gamma, neutral = client.compare(
        castle,
        "What is in the image?",
        [Var.off(), Vcd(attention=Var.on()), Icd(alpha=2), Pai(alpha=0, gamma=2), Icd(alpha=0, beta=0)],
    )
    assert off.contrast_report is None
    assert off.usage.sibling_tokens == 0
    assert vcd.report is not None
    assert vcd.started.intervention.attention.mode == "on"
    for reply in (vcd, icd, gamma, neutral):
        report = reply.contrast_report
        assert reply.usage.sibling_tokens == report.sibling_prompt_tokens + reply.usage.generated_tokens
        assert report.tokens == reply.usage.generated_tokens
    assert icd.contrast_report.sibling_cached_tokens > 0.8 * off.usage.visual_tokens  # the picture
    assert gamma.contrast_report.sibling_prompt_tokens < off.usage.visual_tokens
    assert 1 <= icd.contrast_report.plausible_tokens < 100
    assert neutral.text == off.text
