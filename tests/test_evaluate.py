"""The scores of views and videos: averages worked out by hand, and what `predict` asks a network."""

import math

import numpy as np
import pytest
import torch
import toy
from lightning_fabric import Fabric

from repro import metrics
from repro.errors import ReproError
from repro.evaluate import Scores, measure, predict

# Video 0 has clips of probabilities (0.9, 0.1), (0.4, 0.6), (0.4, 0.6); video 1 has one clip, (0.5, 0.5).
CLIPS = np.log(np.array([[0.9, 0.1], [0.4, 0.6], [0.5, 0.5], [0.4, 0.6]])).astype(np.float32)
CLIPS[1] += 3.0  # another logit of the same probabilities
VIDEO, LABELS = np.array([0, 0, 1, 0]), np.array([0, 1])


def test_videos_average_logits_or_probabilities():
    logits = Scores(CLIPS, VIDEO, LABELS).videos()
    first = [(math.log(0.9) + 2 * math.log(0.4)) / 3 + 1, (math.log(0.1) + 2 * math.log(0.6)) / 3 + 1]
    np.testing.assert_allclose(logits, [first, [math.log(0.5)] * 2], rtol=1e-5)
    probabilities = np.exp(Scores(CLIPS, VIDEO, LABELS, "probabilities").videos())
    np.testing.assert_allclose(probabilities, [[1.7 / 3, 1.3 / 3], [0.5, 0.5]], rtol=1e-5)


def test_the_two_averages_can_disagree():
    clips = np.log(np.array([[0.98, 0.02], [0.4, 0.6], [0.2, 0.8], [0.2, 0.8]])).astype(np.float32)
    video = np.zeros(4, int)
    for average, top in (("logits", 1.0), ("probabilities", 0.0)):  # geometric means 0.35, 0.30; means 0.445, 0.555
        assert Scores(clips, video, np.array([0]), average).video_top1() == top


def test_clip_and_video_accuracy_and_loss():
    scores = Scores(CLIPS, VIDEO, LABELS)
    assert scores.clip_top1() == 0.25  # the last clip's tie counts for class 0
    assert scores.video_top1() == 0.5
    expected = -(math.log(0.9) + 2 * math.log(0.4) + math.log(0.5)) / 4
    assert scores.loss() == pytest.approx(expected, rel=1e-6)


def test_predict_asks_for_every_view_in_eval_mode_and_leaves_the_network_as_it_was():
    clips, model = toy.Clips(6, "test", views=3), toy.Network(norm=True, dropout=0.5)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    scores = predict(model, clips, batch=4)
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    model.eval()
    with torch.inference_mode():
        for i in range(18):
            clip = torch.from_numpy(clips[i]["rgb"]).permute(3, 0, 1, 2)[None]  # (1, C, T, H, W)
            np.testing.assert_allclose(scores.clips[i], model(clip).logits[0].numpy(), rtol=1e-5, atol=1e-6)
    assert scores.video.tolist() == [video for video in range(6) for _ in range(3)]
    assert scores.labels.tolist() == [0, 1, 2, 3, 0, 1]
    predict(model, clips)
    assert not model.training


def test_predict_sees_the_modality_and_average_of_its_data():
    model, flow = toy.Network(), toy.Clips(4, "test", ("flow",), average="probabilities")
    scores = predict(model, flow, Fabric(accelerator="cpu", devices=1), 2)
    assert scores.average == "probabilities"
    np.testing.assert_array_equal(scores.clips, predict(model, flow).clips)


def test_a_record_keeps_float16_scores_and_the_metrics_of_just_these():
    scores = Scores(CLIPS, VIDEO, LABELS, "probabilities")
    stored, found = measure(scores)
    assert stored.dtype == np.float16
    assert found == {
        "clip_top1": 0.25, "video_top1": 0.5, "video_top5": 1.0, "mean_class": 0.5, "per_class": {"0": 1.0, "1": 0.0},
    }  # fmt: skip
    assert metrics.top(stored, LABELS) == found["video_top1"]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_scores_that_no_record_can_hold_are_an_error(value):
    clips = CLIPS.copy()
    clips[0, 0] = value
    with pytest.raises(ReproError, match="the test scores are not finite: the training diverged"):
        measure(Scores(clips, VIDEO, LABELS))


def test_a_score_of_any_size_is_held_as_a_log_probability():
    clips = CLIPS.copy()
    clips[0] = (1e6, 0)
    stored, found = measure(Scores(clips, VIDEO, LABELS))
    assert stored[0].tolist() == [0, -60]  # the least that is kept
    assert found["video_top1"] == metrics.top(stored, LABELS) == 0.5


def test_stored_scores_are_steps_and_keep_the_first_place():
    rng = np.random.default_rng(0)
    scores = rng.normal(0, 0.05, (400, 12))  # close calls: most rows tie once they are rounded
    stored = metrics.rounded(scores)
    assert (stored * metrics.STEPS == np.rint(stored * metrics.STEPS)).all()
    assert ((stored == stored.max(axis=1, keepdims=True)).sum(axis=1) == 1).all()
    assert (stored.argmax(axis=1) == scores.argmax(axis=1)).all()
    assert np.abs(metrics.softmax(stored) - metrics.softmax(scores)).max() < 0.01
