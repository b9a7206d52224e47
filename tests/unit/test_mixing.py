"""CutMix and mixup: what is seen of whom is what the labels say."""

import numpy as np
import pytest
import torch

from cellsignal.augment import Draws
from cellsignal.config.learning import AugmentSettings
from cellsignal.losses import soft_labels
from cellsignal.mixing import cut_box, draw_mix

N, HEIGHT, WIDTH = 64, 24, 32


def numbered() -> torch.Tensor:
    """Images (n, 2, h, w) whose every pixel is the number of their site."""
    return torch.arange(float(N))[:, None, None, None].expand(N, 2, HEIGHT, WIDTH).contiguous()


def drawn(seed: int = 0, **settings: float):
    images = numbered()
    mix = draw_mix(images.shape, AugmentSettings(**settings), Draws(torch.Generator().manual_seed(seed)))
    assert mix is not None
    return images, mix


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_the_area_that_cutmix_keeps_is_lambda_after_clipping(alpha):
    images, mix = drawn(cutmix=alpha)
    mixed = mix.images(images)
    assert sorted(mix.partner.tolist()) == list(range(N))
    clipped = 0
    for i, (image, partner, share) in enumerate(zip(mixed, mix.partner.tolist(), mix.share.tolist(), strict=True)):
        values, count = torch.unique(image, return_counts=True)
        assert set(values.tolist()) <= {float(i), float(partner)}
        of = dict(zip(values.tolist(), count.tolist(), strict=True))
        kept = of.get(float(i), 0) / image.numel() if partner != i else share
        assert kept == pytest.approx(share, abs=1e-6)
        top, bottom, left, right = (int(edge[i]) for edge in mix.box)
        clipped += bottom > top and (top == 0 or left == 0 or bottom == HEIGHT or right == WIDTH)
        replaced = (image[0] == partner).nonzero()
        if partner != i and len(replaced):  # one rectangle
            assert len(replaced) == (bottom - top) * (right - left)
            assert (replaced.min(0).values.tolist(), replaced.max(0).values.tolist()) == (
                [top, left], [bottom - 1, right - 1],
            )  # fmt: skip
    assert clipped > 5
    assert torch.equal(numbered(), images)  # the caller's images are left alone


def test_sides_are_those_of_the_paper_where_the_border_cuts_nothing_off():
    share = np.array([0.75, 0.91, 1.0])
    box, after = cut_box(share, np.array([50.0, 40.0, 10.0]), np.array([60.0, 70.0, 10.0]), 100, 120)
    top, bottom, left, right = box
    assert (bottom - top).tolist() == [50, 30, 0]  # H · √(1 − λ)
    assert (right - left).tolist() == [60, 36, 0]  # W · √(1 − λ)
    assert ((top + bottom) / 2).tolist() == [50, 40, 10] and ((left + right) / 2).tolist() == [60, 70, 10]
    assert after.tolist() == pytest.approx(share.tolist())


@pytest.mark.parametrize("kind", ["cutmix", "mixup"])
def test_labels_cell_types_and_weights_are_mixed_by_the_same_share_and_labels_sum_to_1(kind):
    _, mix = drawn(**{kind: 1.0})
    target, cell_type = np.arange(N) % 7, np.arange(N) % 2
    labels = mix.values(soft_labels(torch.from_numpy(target), 7))
    told = mix.values(torch.eye(2)[cell_type])
    weight = mix.weights(
        soft_labels(torch.from_numpy(target), 7), torch.from_numpy(np.where(np.arange(N) < 32, 1.0, 0.05)).float()
    )
    torch.testing.assert_close(labels.sum(1), torch.ones(N))
    torch.testing.assert_close(told.sum(1), torch.ones(N))
    for i, (j, share) in enumerate(zip(mix.partner.tolist(), mix.share.tolist(), strict=True)):
        expected = np.zeros(7)
        expected[target[i]] += share
        expected[target[j]] += 1 - share
        assert labels[i].tolist() == pytest.approx(expected.tolist(), abs=1e-6)
        assert told[i, cell_type[i]].item() == pytest.approx(share + (1 - share) * (cell_type[i] == cell_type[j]))
        of = [1.0 if k < 32 else 0.05 for k in (i, j)]
        if target[i] == target[j]:
            assert weight[i, target[i]].item() == pytest.approx(share * of[0] + (1 - share) * of[1], rel=1e-4)
        elif 0 < share < 1:
            assert weight[i, [target[i], target[j]]].tolist() == pytest.approx(of, rel=1e-4)


def test_mixup_is_the_weighted_sum_of_both_images():
    images, mix = drawn(mixup=0.4)
    expected = mix.share * torch.arange(N) + (1 - mix.share) * mix.partner
    torch.testing.assert_close(mix.images(images), expected[:, None, None, None].expand_as(images))


def test_shares_follow_beta_and_with_both_kinds_half_of_the_batches_are_cut():
    shares = torch.cat([drawn(seed, mixup=1.0)[1].share for seed in range(60)]).sort().values
    uniform = (torch.arange(len(shares)) + 0.5) / len(shares)
    assert (shares - uniform).abs().max() < 0.03  # Beta(1, 1)
    cut = [drawn(seed, mixup=0.2, cutmix=1.0)[1].box is not None for seed in range(200)]
    assert 70 < sum(cut) < 130


def test_without_mixing_nothing_is_drawn_and_a_seed_gives_the_same_again():
    generator = torch.Generator().manual_seed(3)
    before = generator.get_state()
    assert draw_mix(numbered().shape, AugmentSettings(), Draws(generator)) is None
    assert torch.equal(generator.get_state(), before)
    first, second = (drawn(5, cutmix=1.0)[1] for _ in range(2))
    assert torch.equal(first.partner, second.partner) and torch.equal(first.share, second.share)
