"""The loss of IMRS against numbers worked out by hand, against loops, and against scipy."""

import math

import pytest
import torch
from scipy.special import rel_entr, softmax

from repro.errors import ReproError
from repro.losses import distillation, feature_distance, kl_divergence
from repro.models.layers.output import Output

# Softmaxes of these: student (1/2, 1/4, 1/4) and (1/3, 1/3, 1/3), teacher (1/4, 1/2, 1/4) and (1/3, 1/3, 1/3).
STUDENT = torch.tensor([[2.0, 1.0, 1.0], [5.0, 5.0, 5.0]]).log()
TEACHER = torch.tensor([[1.0, 2.0, 1.0], [3.0, 3.0, 3.0]]).log()
LOGITS = torch.tensor([[3.0, 1.0], [1.0, 1.0]]).log()  # probabilities (3/4, 1/4) and (1/2, 1/2)
LABELS = torch.tensor([0, 1])


def outputs(requires_grad=False):
    make = lambda logits, features: Output(  # noqa: E731
        logits.clone().requires_grad_(requires_grad), features.clone().requires_grad_(requires_grad)
    )
    return make(LOGITS, STUDENT), make(-LOGITS, TEACHER)


def losses(**changes):
    student, teacher = outputs()
    return distillation(student, teacher, LABELS, **{"lambda1": 50, "lambda2": 200, **changes})


def test_worked_out_by_hand():
    ln2, ln53 = math.log(2), math.log(5 / 3)
    ce = (math.log(4 / 3) + ln2) / 2
    mse = (2 * ln2**2 + 3 * ln53**2) / 6  # first clip: (ln 2, -ln 2, 0); second: ln(5/3) three times
    kl = (0.5 * ln2 - 0.25 * ln2) / 2  # first clip: 1/2 ln 2 + 1/4 ln 1/2 + 0; second 0
    got = losses()
    assert got.cross_entropy.item() == pytest.approx(ce, rel=1e-6)
    assert got.feature.item() == pytest.approx(mse, rel=1e-6)
    assert got.kl.item() == pytest.approx(kl, rel=1e-6)
    assert got.total.item() == pytest.approx(ce + 50 * mse + 200 * kl, rel=1e-6)


def test_norms_by_hand():
    ln2, ln53 = math.log(2), math.log(5 / 3)
    assert losses(norm="l2sq").feature.item() == pytest.approx((2 * ln2**2 + 3 * ln53**2) / 2, rel=1e-6)
    l2 = (math.sqrt(2) * ln2 + math.sqrt(3) * ln53) / 2
    assert losses(norm="l2").feature.item() == pytest.approx(l2, rel=1e-6)


def test_zero_weights_leave_cross_entropy_and_mars_has_no_kl():
    plain, mars = losses(lambda1=0, lambda2=0), losses(lambda2=0)
    assert plain.total == plain.cross_entropy
    assert mars.total.item() == pytest.approx((mars.cross_entropy + 50 * mars.feature).item())
    assert mars.kl > 0  # still told


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
        got = distillation(student, student, LABELS, lambda1=50, lambda2=200, norm=norm)
        assert got.feature == got.kl == 0


def test_on_logits_reads_the_logits():
    got = losses(on="logits")
    student, teacher = outputs()
    assert torch.equal(got.feature, feature_distance(student.logits, teacher.logits, "mse"))
    assert torch.equal(got.kl, kl_divergence(student.logits, teacher.logits, "student||teacher", "batchmean"))
    assert got.feature != losses().feature


@pytest.mark.parametrize("on", ["features", "logits"])
def test_gradient_reaches_the_student_only(on):
    student, teacher = outputs(requires_grad=True)
    distillation(student, teacher, LABELS, lambda1=50, lambda2=200, on=on).total.backward()
    assert teacher.logits.grad is None
    assert teacher.features.grad is None
    assert student.logits.grad.abs().sum() > 0
    assert (student.features.grad is not None) == (on == "features")


def test_the_two_terms_pull_alike_under_batchmean():
    """Why the default reduction: 200 KL pulls about twice as hard as 50 MSE, and 1/1024 of that under 'mean'."""
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
    got = distillation(student, Output(LOGITS, -student.features.detach()), LABELS, lambda1=50, lambda2=200)
    got.total.backward()
    assert got.kl.item() == pytest.approx(500)  # (1000 + 0) / 2
    assert student.features.grad.isfinite().all()


def test_bfloat16_outputs_are_compared_in_float32():
    student, teacher = (Output(*(t.bfloat16() for t in o)) for o in outputs())
    got = distillation(student, teacher, LABELS, lambda1=50, lambda2=200)
    assert {t.dtype for t in got} == {torch.float32}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lambda1": -1}, "lambda1 is -1, but must be zero or positive"),
        ({"lambda2": -0.5}, "lambda2 is -0.5"),
        ({"lambda2": math.nan}, "lambda2 is nan"),
        ({"on": "feature"}, "did you mean 'features'"),
        ({"norm": "l1"}, "unknown norm 'l1'"),
        ({"direction": "teacher|student"}, "did you mean 'teacher||student'".replace("|", r"\|")),
        ({"reduction": "sum"}, "unknown reduction 'sum'"),
    ],
)
def test_wrong_choices_are_one_error(changes, message):
    with pytest.raises(ReproError, match=message):
        losses(**changes)


def test_networks_of_different_width_are_named():
    student, _ = outputs()
    with pytest.raises(ReproError, match=r"\(2, 3\) and \(2, 2\)"):
        distillation(student, Output(LOGITS, TEACHER[:, :2]), LABELS, lambda1=1, lambda2=1)
