"""What training minimises: one function per kind of objective in `repro.config`, all called in the same way.

An objective takes its settings, the network's output for B clips, their labels (B,) and the teacher's output (None
without a teacher). It returns scalars: first `loss`, to be minimised, then its terms, unweighted, for the history.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from repro import config
from repro.errors import ReproError, require, unknown
from repro.models.layers.output import Output
from repro.models.stddcn import StreamsOutput


def cross_entropy(
    settings: config.CrossEntropy, output: Output, labels: Tensor, target: None = None
) -> dict[str, Tensor]:
    """Cross-entropy of the logits, in nats, averaged over the batch: IMRS eqs. (6) and (7), the teacher's loss."""
    return {"loss": F.cross_entropy(output.logits, labels)}


def distillation(settings: config.Distillation, output: Output, labels: Tensor, target: Output) -> dict[str, Tensor]:
    """IMRS eq. (8), the student's loss: CE(s, y) + lambda1 * ||f_s - f_t|| + lambda2 * KL(P(f_s) || P(f_t)).

    P is the softmax over the D features. No gradient reaches the teacher. MARS is the same with lambda2 = 0.

    The paper leaves four choices open:

    on: what f is. "features" are the D = 2048 averaged values before the last layer, as in section 1 ("the layer preceding
        the network's last fully-connected layer"), Figure 1 and MARS. Section 3.1 says outputs of the last layer: "logits".
    norm: "mse" averages the squared differences over batch and D, as MARS does, whose lambda1 = 50 the paper keeps. "l2"
        is the Euclidean norm of a clip's difference, which eq. (8) prints, and "l2sq" its square, both averaged over the
        batch.
    direction: the distribution that weights the logarithms. Eq. (9) prints "student||teacher"; knowledge distillation
        usually takes "teacher||student".
    reduction: "batchmean" sums over the features, as eq. (9) does, and averages over the batch. "mean" also averages over
        the features, which makes the term D times smaller.

    Why "batchmean": while P is close to uniform, eq. (9) is to second order half the variance over the features of
    f_s - f_t. lambda2 * KL then pulls on each feature in the same direction as lambda1 * MSE and lambda2 / (2 lambda1)
    times as hard: twice for the paper's (50, 200). Under "mean" it would pull 1000 times less than MSE, and Table 4 could
    not depend on lambda2.

    How large the terms are: in 3D ResNeXt-101 with CE, untrained, one batch, teacher and student in training mode, 50 MSE
    = 2.7 and 200 KL = 5.5, beside a cross-entropy of about 4. In the small network, which starts from the pretext network,
    they are 6.2 and 12.3 beside 2.5, as means over the first epoch (split 1, seed 0; in the run's record).

    Parameters
    ----------
    settings: lambda1 and lambda2, zero or positive, and the four choices.
    output, target: of student and teacher for the same B clips in the same order; logits (B, classes), features (B, D).
    labels: (B,) class indices.

    Returns `loss`, `cross_entropy`, `feature`, `kl` and `imitation`. The last is R2 = 1 - MSE / variance of the teacher's
    values over the clips of the batch: 1 for a copy, 0 for a student that gives the teacher's mean. Raises ReproError for
    student and teacher of different widths.
    """
    f_s, f_t = getattr(output, settings.on).float(), getattr(target, settings.on).detach().float()  # (B, D)
    if f_s.shape != f_t.shape:
        shapes = f"{tuple(f_s.shape)} and {tuple(f_t.shape)}"
        raise ReproError(f"{settings.on} of student and teacher have shapes {shapes}: they must agree")
    labelled = F.cross_entropy(output.logits.float(), labels)
    feature = feature_distance(f_s, f_t, settings.norm)
    kl = kl_divergence(f_s, f_t, settings.direction, settings.reduction)
    loss = labelled + settings.lambda1 * feature + settings.lambda2 * kl
    variance = f_t.var(dim=0, correction=0).mean().clamp_min(1e-12)  # a batch of one clip has none
    imitation = 1 - (f_s.detach() - f_t).square().mean() / variance
    return {"loss": loss, "cross_entropy": labelled, "feature": feature, "kl": kl, "imitation": imitation}


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
    """Eq. (9) of IMRS between the softmaxes of (B, D) features, in nats, as a scalar; choices as in `distillation`.

    The equation prints log P / log Q. The Kullback-Leibler divergence is meant, and computed:
    KL(P || Q) = sum_x P(x) log(P(x) / Q(x)).
    """
    if direction not in ("student||teacher", "teacher||student"):
        raise unknown("direction", direction, ("student||teacher", "teacher||student"))
    if reduction not in ("batchmean", "mean"):
        raise unknown("reduction", reduction, ("batchmean", "mean"))
    p, q = (f_s, f_t) if direction == "student||teacher" else (f_t, f_s)
    log_p, log_q = F.log_softmax(p, dim=1), F.log_softmax(q, dim=1)  # (B, D)
    terms = log_p.exp() * (log_p - log_q)
    return terms.sum(1).mean() if reduction == "batchmean" else terms.mean()


def mutual_distillation(
    settings: config.MutualDistillation, output: StreamsOutput, labels: Tensor, target: None = None
) -> dict[str, Tensor]:
    """STDDCN's loss: two students and their fusion, which teaches them, train together.

    CE(z, y) + CE(z_a, y) + CE(z_m, y) + weight * T^2 * [KL(P(z) || P(z_a)) + KL(P(z) || P(z_m))], P(z) = softmax(z / T).

    Of Hao, Zhang 2019 only the abstract is known: "knowledge distillation among two streams (each treated as a student) and
    their last fusion (treated as teacher)". The form is that of Hinton, Vinyals, Dean 2015. The teacher's distribution
    comes first and gets no gradient from KL. T^2 keeps the size of the term's gradients at every T. KL is summed over the
    classes and averaged over the batch.

    Parameters
    ----------
    settings: weight, zero or positive (0 trains the three heads independently), and temperature T, positive.
    output: logits of the fusion and of the two students, each (B, classes).
    labels: (B,) class indices.

    Returns `loss`; the cross-entropies of fusion (`cross_entropy`), `appearance` and `motion`; and `kl` in nats, the T^2
    included. Raises ReproError for the output of a network without two students.
    """
    streams = hasattr(output, "appearance") and hasattr(output, "motion")
    require(streams, "the network's output", output._fields, "that of two students and their fusion, as of stddcn")
    t, students = settings.temperature, (output.appearance.float(), output.motion.float())  # (B, classes)
    fused = output.logits.float()
    teacher = fused.detach()
    kl = t**2 * sum(kl_divergence(z / t, teacher / t, "teacher||student", "batchmean") for z in students)
    own, appearance, motion = (F.cross_entropy(z, labels) for z in (fused, *students))
    loss = own + appearance + motion + settings.weight * kl
    return {"loss": loss, "cross_entropy": own, "appearance": appearance, "motion": motion, "kl": kl}


OBJECTIVES: dict[str, Callable[..., dict[str, Tensor]]] = {
    "cross_entropy": cross_entropy,
    "distillation": distillation,
    "mutual_distillation": mutual_distillation,
}
