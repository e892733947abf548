"""The losses of IMRS and STDDCN against numbers worked out by hand, against loops, and against scipy."""

import math
import typing

import pytest
import torch
from scipy.special import rel_entr, softmax

from repro import config
from repro.config import CrossEntropy, Distillation, MutualDistillation
from repro.errors import ReproError
from repro.losses import OBJECTIVES, cross_entropy, distillation, feature_distance, kl_divergence, mutual_distillation
from repro.models.layers.output import Output
from repro.models.stddcn import StreamsOutput

# Softmaxes of these: student (1/2, 1/4, 1/4) and (1/3, 1/3, 1/3), teacher (1/4, 1/2, 1/4) and (1/3, 1/3, 1/3).
STUDENT = torch.tensor([[2.0, 1.0, 1.0], [5.0, 5.0, 5.0]]).log()
TEACHER = torch.tensor([[1.0, 2.0, 1.0], [3.0, 3.0, 3.0]]).log()
LOGITS = torch.tensor([[3.0, 1.0], [1.0, 1.0]]).log()  # probabilities (3/4, 1/4) and (1/2, 1/2)
LABELS = torch.tensor([0, 1])


def outputs(requires_grad=False):
    pairs = (LOGITS, STUDENT), (-LOGITS, TEACHER)
    return [Output(*(t.clone().requires_grad_(requires_grad) for t in pair)) for pair in pairs]


def losses(**changes):
    student, teacher = outputs()
    return distillation(Distillation(**{"lambda1": 50, "lambda2": 200, **changes}), student, LABELS, teacher)


def test_every_kind_of_objective_has_its_function():
    kinds = {objective().kind for objective in typing.get_args(config.Objective)}
    assert kinds == set(OBJECTIVES)


def test_cross_entropy_by_hand():
    got = cross_entropy(CrossEntropy(), outputs()[0], LABELS)
    assert list(got) == ["loss"]
    assert got["loss"].item() == pytest.approx((math.log(4 / 3) + math.log(2)) / 2)


def test_worked_out_by_hand():
    ln2, ln53 = math.log(2), math.log(5 / 3)
    ce = (math.log(4 / 3) + ln2) / 2
    mse = (2 * ln2**2 + 3 * ln53**2) / 6  # first clip: (ln 2, -ln 2, 0); second: ln(5/3) three times
    kl = (0.5 * ln2 - 0.25 * ln2) / 2  # first clip: 1/2 ln 2 + 1/4 ln 1/2 + 0; second 0
    variance = (2 * (math.log(3) / 2) ** 2 + (math.log(3 / 2) / 2) ** 2) / 3  # of the teacher, over the two clips
    got = losses()
    assert list(got) == ["loss", "cross_entropy", "feature", "kl", "imitation"]
    assert got["imitation"].item() == pytest.approx(1 - mse / variance, rel=1e-5)
    assert got["cross_entropy"].item() == pytest.approx(ce, rel=1e-6)
    assert got["feature"].item() == pytest.approx(mse, rel=1e-6)
    assert got["kl"].item() == pytest.approx(kl, rel=1e-6)
    assert got["loss"].item() == pytest.approx(ce + 50 * mse + 200 * kl, rel=1e-6)


def test_norms_by_hand():
    ln2, ln53 = math.log(2), math.log(5 / 3)
    assert losses(norm="l2sq")["feature"].item() == pytest.approx((2 * ln2**2 + 3 * ln53**2) / 2, rel=1e-6)
    l2 = (math.sqrt(2) * ln2 + math.sqrt(3) * ln53) / 2
    assert losses(norm="l2")["feature"].item() == pytest.approx(l2, rel=1e-6)


def test_zero_weights_leave_the_cross_entropy_and_mars_has_no_kl():
    plain, mars = losses(lambda1=0, lambda2=0), losses(lambda2=0)
    assert plain["loss"] == plain["cross_entropy"]
    assert mars["loss"].item() == pytest.approx((mars["cross_entropy"] + 50 * mars["feature"]).item())
    assert mars["kl"] > 0  # still reported


@pytest.mark.parametrize("direction", ["student||teacher", "teacher||student"])
def test_kl_is_corrected_equation_9(direction):
    generator = torch.Generator().manual_seed(0)
    s, t = torch.randn(4, 7, generator=generator), torch.randn(4, 7, generator=generator)
    p, q = softmax(s.numpy(), axis=1), softmax(t.numpy(), axis=1)
    if direction == "teacher||student":
        p, q = q, p
    summed = kl_divergence(s, t, direction, "batchmean").item()
    assert summed == pytest.approx(rel_entr(p, q).sum() / 4, rel=1e-5)
    loop = sum(p[b, x] * math.log(p[b, x] / q[b, x]) for b in range(4) for x in range(7)) / 4
    assert summed == pytest.approx(loop, rel=1e-5)
    assert kl_divergence(s, t, direction, "mean").item() == pytest.approx(summed / 7, rel=1e-5)
    printed = sum(p[b, x] * math.log(p[b, x]) / math.log(q[b, x]) for b in range(4) for x in range(7)) / 4
    assert abs(printed - summed) > 0.1  # log P / log Q is another number


def test_identical_features_cost_nothing():
    student, _ = outputs()
    for norm in ("mse", "l2", "l2sq"):
        got = distillation(Distillation(norm=norm), student, LABELS, student)
        assert got["feature"] == got["kl"] == 0


def test_on_logits_reads_the_logits():
    got = losses(on="logits")
    student, teacher = outputs()
    assert torch.equal(got["feature"], feature_distance(student.logits, teacher.logits, "mse"))
    assert torch.equal(got["kl"], kl_divergence(student.logits, teacher.logits, "student||teacher", "batchmean"))
    assert got["feature"] != losses()["feature"]


def imitated(student: torch.Tensor, teacher: torch.Tensor, **settings) -> float:
    """R2 of a student with features (B, D), the logits being those of other clips."""
    clips = torch.zeros(len(student), 2)
    labels = torch.zeros(len(student), dtype=torch.long)
    got = distillation(Distillation(**settings), Output(clips, student), labels, Output(clips + 1, teacher))
    return got["imitation"].item()


def test_imitation_is_one_of_a_copy_and_zero_of_the_mean():
    teacher = torch.randn(16, 7, generator=torch.Generator().manual_seed(0)) + 5
    mean = teacher.mean(0).expand_as(teacher)
    assert imitated(teacher.clone(), teacher) == 1
    assert imitated(mean, teacher) == pytest.approx(0, abs=1e-5)
    assert imitated((teacher + mean) / 2, teacher) == pytest.approx(0.75, rel=1e-5)  # half way: a quarter of the MSE
    assert imitated(2 * mean - teacher, teacher) == pytest.approx(-3, rel=1e-5)  # mirrored: worse than the mean
    for norm in ("l2", "l2sq"):  # R2 is of the MSE, whatever the loss
        assert imitated((teacher + mean) / 2, teacher, norm=norm) == pytest.approx(0.75, rel=1e-5)


def test_imitation_is_of_what_the_student_imitates():
    student, teacher = outputs()
    got = distillation(Distillation(on="logits"), student, LABELS, teacher)["imitation"]
    variance = teacher.logits.var(dim=0, correction=0).mean()
    assert got == 1 - (student.logits - teacher.logits).square().mean() / variance
    assert got != losses()["imitation"]


def test_imitation_of_one_clip_or_a_constant_teacher_is_finite():
    one, constant = torch.ones(1, 3), torch.ones(4, 3)
    for teacher in (one, constant):
        assert imitated(teacher.clone(), teacher) == 1
        assert math.isfinite(imitated(teacher + 2, teacher))
        assert imitated(teacher + 2, teacher) < 0


def test_imitation_changes_no_gradient():
    student, teacher = outputs(requires_grad=True)
    got = distillation(Distillation(), student, LABELS, teacher)
    assert not got["imitation"].requires_grad
    assert got["loss"].item() == pytest.approx((got["cross_entropy"] + 50 * got["feature"] + 200 * got["kl"]).item())


@pytest.mark.parametrize("on", ["features", "logits"])
def test_gradient_reaches_the_student_only(on):
    student, teacher = outputs(requires_grad=True)
    distillation(Distillation(on=on), student, LABELS, teacher)["loss"].backward()
    assert teacher.logits.grad is None
    assert teacher.features.grad is None
    assert student.logits.grad.abs().sum() > 0
    assert (student.features.grad is not None) == (on == "features")


def test_the_two_terms_pull_alike_under_batchmean():
    """Why "batchmean" is the default: 200 KL pulls twice as hard as 50 MSE; under "mean" it is a thousandth of it."""
    generator = torch.Generator().manual_seed(0)
    teacher = 0.65 + 0.15 * torch.randn(8, 2048, generator=generator)  # the spread of an untrained network's features
    student = (0.65 + 0.15 * torch.randn(8, 2048, generator=generator)).requires_grad_()
    (mse,) = torch.autograd.grad(50 * feature_distance(student, teacher, "mse"), student)
    pull = {}
    for reduction in ("batchmean", "mean"):
        (kl,) = torch.autograd.grad(200 * kl_divergence(student, teacher, "student||teacher", reduction), student)
        pull[reduction] = (kl.norm() / mse.norm()).item()
    assert pull["batchmean"] == pytest.approx(2, abs=0.3)
    assert pull["mean"] == pytest.approx(pull["batchmean"] / 2048, rel=1e-3)


def test_far_apart_features_stay_finite():
    student = Output(LOGITS, torch.tensor([[500.0, -500.0], [0.0, 0.0]], requires_grad=True))
    got = distillation(Distillation(), student, LABELS, Output(LOGITS, -student.features.detach()))
    got["loss"].backward()
    assert got["kl"].item() == pytest.approx(500)  # (1000 + 0) / 2
    assert student.features.grad.isfinite().all()


def test_bfloat16_outputs_are_compared_in_float32():
    student, teacher = (Output(*(t.bfloat16() for t in o)) for o in outputs())
    got = distillation(Distillation(), student, LABELS, teacher)
    assert {t.dtype for t in got.values()} == {torch.float32}


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        (Distillation, "lambda1"),
        (Distillation, "lambda2"),
        (MutualDistillation, "weight"),
        (MutualDistillation, "temperature"),
    ],
)
def test_weights_are_numbers_from_zero(settings, field):
    for value in (-0.5, math.nan):
        with pytest.raises(ReproError, match=f"{field} is {value}"):
            settings(**{field: value})


def test_unknown_choices_are_errors_that_offer_the_nearest():
    f = torch.zeros(1, 2)
    with pytest.raises(ReproError, match="unknown norm 'l1'"):
        feature_distance(f, f, "l1")
    with pytest.raises(ReproError, match=r"did you mean 'teacher\|\|student'"):
        kl_divergence(f, f, "teacher|student", "batchmean")
    with pytest.raises(ReproError, match="unknown reduction 'sum'"):
        kl_divergence(f, f, "student||teacher", "sum")


def test_networks_of_different_width_are_named():
    student, _ = outputs()
    with pytest.raises(ReproError, match=r"\(2, 3\) and \(2, 2\)"):
        distillation(Distillation(1, 1), student, LABELS, Output(LOGITS, TEACHER[:, :2]))


# -- STDDCN


def streams(seed=0, b=3, k=4) -> StreamsOutput:
    generator = torch.Generator().manual_seed(seed)
    fused, a, m = (torch.randn(b, k, generator=generator).requires_grad_() for _ in range(3))
    return StreamsOutput(fused, torch.zeros(b, 2), a, m)


def test_mutual_distillation_worked_out_by_hand():
    # One clip of class 0. Softmaxes: fusion (1/2, 1/2), appearance (1/4, 3/4), motion (1/2, 1/2).
    logits = [torch.tensor([[1.0, n]]).log() for n in (1.0, 3.0, 1.0)]
    out = StreamsOutput(logits[0], torch.zeros(1, 1), logits[1], logits[2])
    got = mutual_distillation(MutualDistillation(3.0, 1.0), out, torch.tensor([0]))
    kl = 0.5 * math.log(2) + 0.5 * math.log(2 / 3)
    assert list(got) == ["loss", "cross_entropy", "appearance", "motion", "kl"]
    expected = [4 * math.log(2) + 3 * kl, math.log(2), math.log(4), math.log(2), kl]
    assert [value.item() for value in got.values()] == pytest.approx(expected)


@pytest.mark.parametrize("temperature", [1.0, 2.5, 4.0])
def test_mutual_distillation_is_its_equation(temperature):
    out, labels = streams(), torch.tensor([0, 3, 1])
    expected, kl = 0.0, 0.0
    for b in range(3):
        p = [[math.exp(v / temperature) for v in z[b].tolist()] for z in (out.logits, out.appearance, out.motion)]
        p = [[v / sum(row) for v in row] for row in p]
        kl += sum(p[0][c] * math.log(p[0][c] / q[c]) for q in p[1:] for c in range(4)) / 3
        for z in (out.logits, out.appearance, out.motion):
            e = [math.exp(v) for v in z[b].tolist()]
            expected -= math.log(e[labels[b]] / sum(e)) / 3
    got = mutual_distillation(MutualDistillation(0.7, temperature), out, labels)
    assert got["loss"].item() == pytest.approx(expected + 0.7 * temperature**2 * kl, rel=1e-5)
    assert got["kl"].item() == pytest.approx(temperature**2 * kl, rel=1e-4)


def test_the_fusion_is_a_fixed_target():
    out = streams()
    mutual_distillation(MutualDistillation(1.0, 2.0), out, torch.zeros(3, dtype=torch.long))["kl"].backward()
    assert out.logits.grad is None
    assert out.appearance.grad.abs().max() > 0
    assert out.motion.grad.abs().max() > 0


def test_mutual_distillation_needs_two_students():
    with pytest.raises(ReproError, match=r"'logits', 'features'.*two students"):
        mutual_distillation(MutualDistillation(), outputs()[0], LABELS)
