"""Which views of its sites a step learns from, and what each weighs, against loops over sites."""

from dataclasses import replace

import numpy as np
import pytest
import tiny_training as tiny
import torch
import torch.nn.functional as F

from cellsignal.augment import Draws, augment
from cellsignal.batch import Views, prepare
from cellsignal.config.learning import AugmentSettings, PseudoLabelLoss
from cellsignal.distributed import Group
from cellsignal.losses import classification_loss
from cellsignal.mixing import draw_mix
from cellsignal.training import seed_step

CPU = torch.device("cpu")
STILL = AugmentSettings(flips=False, rotations=False)
N, M, U = 6, 4, 5  # sites with known labels, with pseudo-labels, without labels
KNOWN, PSEUDO = range(N), range(140, 140 + M)
WEIGHT = 0.3


def site_set(wrong: int = 0) -> tiny.TrainingSites:
    """Labelled, pseudo-labelled (`wrong` classes off) and unlabelled sites."""
    given = tiny.sites(PSEUDO, weight=WEIGHT)
    given = replace(given, pseudo=np.ones(M, np.int64), target=(given.target + wrong) % tiny.CLASSES)
    return tiny.sites(KNOWN) + given + tiny.sites(range(180, 180 + U), labelled=False)


def batch_of(settings: AugmentSettings, views: Views, model=None, wrong: int = 0, unlabelled: bool = True):
    sites = site_set(wrong)
    chosen = np.arange(N + M + (U if unlabelled else 0))
    share = Group(CPU).share(N + M, len(chosen) - N - M, M)
    pixels = tiny.Reader().read(sites.rows[chosen])
    return prepare(model or tiny.model(), sites, chosen, share, pixels, settings, seed_step(3, 7), CPU, views)


def plain(rows: range) -> torch.Tensor:
    return torch.from_numpy((tiny.Reader().pixels[list(rows)].astype(np.float32) - 90.0) / 30.0)


def loss_of(batch, model, count: int = N + M) -> torch.Tensor:
    """As `training.train` puts it together."""
    model.eval()  # BatchNorm and dropout as they are, so that sites can be looked at one by one
    output, s = model(batch.seen), len(batch.labels)
    loss = classification_loss(output.logits[:s], batch.labels, model.settings, batch.weight, count=count)
    if batch.weak_labels is None:
        return loss
    weak = (output.logits[s:], batch.weak_labels, model.settings, batch.weak_weight)
    return loss + classification_loss(*weak, count=count, margin=False)


def cross_entropy(model, image: torch.Tensor, target: int, margin: bool) -> float:
    """Of one image, by the published formulas."""
    logits = model.eval()(image[None]).logits[0].double()
    if margin:
        theta = torch.arccos(logits[target] / model.settings.scale)
        logits = logits.clone()
        logits[target] = model.settings.scale * torch.cos(theta + model.settings.margin)
    return float(-F.log_softmax(logits, 0)[target].detach())


@pytest.mark.parametrize("average", ["batch", "each"])
@pytest.mark.parametrize("view", ["same", "weak"])
def test_the_loss_is_that_of_a_loop_over_sites(view, average):
    """Eq. 7 of the explainability paper with `each`: the labelled sum by N, the pseudo-labelled one by M."""
    model = tiny.model()
    pseudo = PseudoLabelLoss(view=view, average=average, supervised_weight=0.95)
    batch = batch_of(STILL, Views(False, pseudo, alpha=0.5), model)
    known = [0.95 * cross_entropy(model, image, i % 4, True) for i, image in zip(KNOWN, plain(KNOWN), strict=True)]
    given = [
        0.5 * WEIGHT * cross_entropy(model, image, i % 4, view == "same")
        for i, image in zip(PSEUDO, plain(PSEUDO), strict=True)
    ]
    by = (N, M) if average == "each" else (N + M, N + M)
    expected = sum(known) / by[0] + sum(given) / by[1]
    assert loss_of(batch, model).item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("view", ["same", "weak"])
@pytest.mark.parametrize("settings", [STILL, AugmentSettings(cutmix=1.0), AugmentSettings(mixup=1.0)])
def test_pseudo_labels_of_weight_0_teach_nothing_also_where_sites_are_mixed(view, settings):
    """The gradient is the same whatever the pseudo-labels say."""
    gradients = []
    for wrong in (0, 1):
        model = tiny.model()
        loss_of(batch_of(settings, Views(True, PseudoLabelLoss(view=view), alpha=0.0), model, wrong), model).backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]))
    assert torch.equal(*gradients) and gradients[0].abs().sum() > 0


def test_each_component_of_a_mixed_site_counts_by_the_weight_of_its_own_site():
    model = tiny.build_model(tiny.MODEL.model_copy(update={"head": "softmax"}), tiny.CHANNELS, tiny.CLASSES, seed=1)
    batch = batch_of(AugmentSettings(mixup=1.0), Views(False, PseudoLabelLoss(), alpha=0.5), model, unlabelled=False)
    sites, expected = site_set(), 0.0
    weight = np.where(sites.pseudo, sites.weight * 0.5, sites.weight)
    # The same draws again: flips and rotations first, then the mixing.
    draws = Draws(seed_step(3, 7), N + M, torch.arange(N + M))
    images = augment(plain([*KNOWN, *PSEUDO]), AugmentSettings(mixup=1.0), draws)
    mix = draw_mix(images.shape, AugmentSettings(mixup=1.0), draws)
    for i, (j, share) in enumerate(zip(mix.partner.tolist(), mix.share.tolist(), strict=True)):
        image = share * images[i] + (1 - share) * images[j]
        for k, part in ((i, share), (j, 1 - share)):
            expected += part * weight[k] * cross_entropy(model, image, int(sites.target[k]), False)
    assert loss_of(batch, model).item() == pytest.approx(expected / (N + M), rel=1e-4)


def test_the_three_views_of_deepnoise():
    """Supervised: augmented; the student's side of consistency: turned at most; the teacher's: augmented anew."""
    settings = AugmentSettings(flips=False, rotations=False, erase=1.0)
    batch = batch_of(settings, Views(True, PseudoLabelLoss(view="weak"), alpha=1.0))
    everything = plain([*KNOWN, *PSEUDO, *range(180, 180 + U)])
    own, weak = batch.seen[:N], batch.seen[N:]
    assert len(batch.labels) == N and len(weak) == len(batch.strong) == N + M + U
    torch.testing.assert_close(weak, everything)
    for view, of in ((own, everything[:N]), (batch.strong, everything)):
        erased = (view == 0).flatten(1).float().mean(1)
        assert (erased > 0.01).all()
        torch.testing.assert_close(view[view != 0], of[view != 0])
    assert not torch.equal(own, batch.strong[:N])
    assert batch.weak_weight.tolist() == pytest.approx([0.0] * N + [WEIGHT] * M + [0.0] * U)
    assert batch.weak_labels[N : N + M].argmax(1).tolist() == [i % 4 for i in PSEUDO]


def test_mixing_is_of_the_supervised_view_alone_and_goes_on_beside_a_teacher():
    batch = batch_of(AugmentSettings(flips=False, rotations=False, mixup=1.0), Views(True))
    everything = plain([*KNOWN, *PSEUDO, *range(180, 180 + U)])
    torch.testing.assert_close(batch.seen[N + M :], everything)
    assert not torch.allclose(batch.seen[: N + M], everything[: N + M])


def test_no_view_is_made_that_nothing_needs():
    assert len(batch_of(STILL, Views()).seen) == N + M and batch_of(STILL, Views()).strong is None
    teaching = batch_of(STILL, Views(False, PseudoLabelLoss(view="weak"), alpha=1.0))
    assert len(teaching.seen) == N + M and len(teaching.weak_labels) == M and teaching.strong is None


@pytest.mark.parametrize("alpha", [0.0, 1.0])
@pytest.mark.parametrize("settings", [AugmentSettings(scale=[0.8, 1.2], erase=0.5), AugmentSettings(cutmix=1.0)])
def test_a_batch_without_a_known_label_is_learned_from_by_its_weak_views_alone(alpha, settings):
    """A batch of one test plate: before pseudo-labels start, it weighs nothing, and stops nothing."""
    sites, chosen = site_set(), np.arange(N, N + M)
    share = Group(CPU).share(M, 0, M)
    pixels = tiny.Reader().read(sites.rows[chosen])
    model, views = tiny.model(), Views(False, PseudoLabelLoss(view="weak", average="each"), alpha)
    batch = prepare(model, sites, chosen, share, pixels, settings, seed_step(3, 7), CPU, views)
    assert len(batch.labels) == 0 and len(batch.seen) == len(batch.weak_labels) == M
    loss = loss_of(batch, model, M)
    loss.backward()
    learned = sum(p.grad.abs().sum().item() for p in model.parameters() if p.grad is not None)
    assert torch.isfinite(loss) and (learned > 0) == (alpha > 0)


def test_supervised_sites_weigh_less_only_while_pseudo_labels_weigh_anything():
    pseudo = PseudoLabelLoss(supervised_weight=0.95)
    for alpha, expected in ((0.0, 1.0), (0.1, 0.95)):
        assert batch_of(STILL, Views(False, pseudo, alpha)).weight[:N].tolist() == pytest.approx([expected] * N)
    sites = tiny.sites(KNOWN)  # round 0
    share = Group(CPU).share(N)
    pixels = tiny.Reader().read(sites.rows)
    views = Views(False, pseudo, 1.0)
    batch = prepare(tiny.model(), sites, np.arange(N), share, pixels, STILL, seed_step(3, 7), CPU, views)
    assert batch.weight.tolist() == [1.0] * N
