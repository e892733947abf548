"""The student's loss of IMRS, eqs. (6)-(9); MARS is the same with lambda2 = 0.

The teacher's loss, eqs. (6) and (7), is `torch.nn.functional.cross_entropy` on its logits.
"""

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from repro.errors import ReproError, unknown
from repro.models.layers.output import Output
from repro.models.stddcn import StreamsOutput


class Losses(NamedTuple):
    """Scalars: total = cross_entropy + lambda1 * feature + lambda2 * kl; the three terms are unweighted."""

    total: Tensor
    cross_entropy: Tensor
    feature: Tensor
    kl: Tensor


def distillation(
    student: Output,
    teacher: Output,
    labels: Tensor,
    *,
    lambda1: float,
    lambda2: float,
    on: Literal["features", "logits"] = "features",
    norm: Literal["mse", "l2", "l2sq"] = "mse",
    direction: Literal["student||teacher", "teacher||student"] = "student||teacher",
    reduction: Literal["batchmean", "mean"] = "batchmean",
) -> Losses:
    """Eq. (8): CE(s, y) + lambda1 * ||f_s - f_t|| + lambda2 * KL(P(f_s) || P(f_t)), with P the softmax over D.

    Eq. (9) prints log P / log Q; what is meant, and computed, is KL(P || Q) = sum_x P(x) log(P(x) / Q(x)).
    No gradient reaches the teacher.

    The paper leaves these open:

    on: what f is. "features", the D = 2048 averaged values before the last layer, as section 1 ("the layer preceding
        the network's last fully-connected layer"), Fig. 1 and MARS have it; section 3.1 says outputs of the last
        layer: "logits".
    norm: "mse", the mean of squared differences over batch and D, as in MARS, whose lambda1 = 50 the paper keeps;
        "l2", the Euclidean norm of a clip's difference, which eq. (8) prints; "l2sq", its square; both averaged over
        the batch.
    direction: which distribution the expectation is over. "student||teacher" is printed; knowledge distillation (and
        PyTorch's `kl_div(log_softmax(student), softmax(teacher))`) takes the other.
    reduction: "batchmean" sums over x as eq. (9) does and averages over the batch; "mean" averages over x too, D
        times less. While P is close to uniform, eq. (9) is, to second order, half the variance over x of f_s - f_t,
        so under "batchmean" lambda2 * KL pulls on each feature lambda2 / (2 lambda1) times as hard as lambda1 * MSE:
        twice for the paper's (50, 200), and in the same direction. Under "mean" it would pull 1000 times less, and
        Table 4 could not depend on lambda2. Measured on untrained networks: 3D ResNeXt-101 with CE 50 MSE = 2.7 and
        200 KL = 5.4, gradients 1 : 2.0, beside a cross-entropy of 4; a width-16 network on 32x32 clips 66 and 234,
        gradients 1 : 8. The few positions a small network averages over leave features far apart, the softmax far
        from uniform, and (50, 200) many times the cross-entropy: there, use a small learning rate, clipped gradients,
        or smaller weights.

    Parameters
    ----------
    student, teacher: outputs for the same B clips in the same order; logits (B, classes), features (B, D).
    labels: (B,) class indices.
    lambda1, lambda2: weights, zero or positive.

    Raises ReproError for a negative weight, an unknown choice, or student and teacher of different widths.
    """
    for name, value in (("lambda1", lambda1), ("lambda2", lambda2)):
        if not value >= 0:
            raise ReproError(f"{name} is {value!r}, but must be zero or positive")
    if on not in Output._fields:
        raise unknown("value of on", on, Output._fields)
    f_s, f_t = getattr(student, on).float(), getattr(teacher, on).detach().float()  # (B, D)
    if f_s.shape != f_t.shape:
        raise ReproError(
            f"{on} of student and teacher have shapes {tuple(f_s.shape)} and {tuple(f_t.shape)}: they must agree"
        )
    cross_entropy = F.cross_entropy(student.logits.float(), labels)
    feature = feature_distance(f_s, f_t, norm)
    kl = kl_divergence(f_s, f_t, direction, reduction)
    return Losses(cross_entropy + lambda1 * feature + lambda2 * kl, cross_entropy, feature, kl)


def feature_distance(f_s: Tensor, f_t: Tensor, norm: str) -> Tensor:
    """||f_s - f_t|| of (B, D) features as a scalar; `norm` as in `distillation`."""
    d = f_s - f_t  # (B, D)
    if norm == "mse":
        return d.square().mean()
    if norm == "l2":
        return torch.linalg.vector_norm(d, dim=1).mean()
    if norm == "l2sq":
        return d.square().sum(1).mean()
    raise unknown("norm", norm, ("mse", "l2", "l2sq"))


def kl_divergence(f_s: Tensor, f_t: Tensor, direction: str, reduction: str) -> Tensor:
    """Eq. (9) between the softmaxes of (B, D) features, in nats, as a scalar; choices as in `distillation`."""
    if direction not in ("student||teacher", "teacher||student"):
        raise unknown("direction", direction, ("student||teacher", "teacher||student"))
    if reduction not in ("batchmean", "mean"):
        raise unknown("reduction", reduction, ("batchmean", "mean"))
    p, q = (f_s, f_t) if direction == "student||teacher" else (f_t, f_s)
    log_p, log_q = F.log_softmax(p, dim=1), F.log_softmax(q, dim=1)  # (B, D)
    terms = log_p.exp() * (log_p - log_q)
    return terms.sum(1).mean() if reduction == "batchmean" else terms.mean()


class MutualLosses(NamedTuple):
    """Scalars: total = cross_entropy + appearance + motion + weight * kl; the four terms are unweighted."""

    total: Tensor
    cross_entropy: Tensor  # of the fusion
    appearance: Tensor  # cross-entropies of the students
    motion: Tensor
    kl: Tensor  # T^2 * (KL(fusion || appearance) + KL(fusion || motion)), in nats


def mutual_distillation(
    output: StreamsOutput, labels: Tensor, *, weight: float, temperature: float, detach: bool = True
) -> MutualLosses:
    """STDDCN's loss, of two students and their fusion as teacher, trained together.

    CE(z, y) + CE(z_a, y) + CE(z_m, y) + weight * T^2 * [KL(P(z) || P(z_a)) + KL(P(z) || P(z_m))], P(z) = softmax(z / T).

    Only the abstract of Hao, Zhang 2019 is known: "knowledge distillation among two streams (each treated as a student) and
    their last fusion (treated as teacher)". The form is Hinton, Vinyals, Dean 2015's: the teacher's distribution first, and
    T^2 so that the term's gradients keep their size at every T. KL is summed over classes and averaged over the batch.

    Parameters
    ----------
    output: logits of the fusion and of the students, each (B, classes).
    labels: (B,) class indices.
    weight: of the distillation, zero or positive; 0 trains the three heads side by side.
    temperature: T, positive.
    detach: whether the teacher is a fixed target in KL; else it is drawn towards its students as well.

    Raises ReproError for a weight or a temperature out of range.
    """
    if not weight >= 0:
        raise ReproError(f"weight is {weight!r}, but must be zero or positive")
    if not temperature > 0:
        raise ReproError(f"temperature is {temperature!r}, but must be positive")
    fused, students = output.logits.float(), (output.appearance.float(), output.motion.float())  # (B, classes)
    teacher = fused.detach() if detach else fused
    kl = temperature**2 * sum(
        kl_divergence(z / temperature, teacher / temperature, "teacher||student", "batchmean") for z in students
    )
    own, appearance, motion = (F.cross_entropy(z, labels) for z in (fused, *students))
    return MutualLosses(own + appearance + motion + weight * kl, own, appearance, motion, kl)
