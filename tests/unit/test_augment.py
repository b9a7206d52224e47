"""Augmentation keeps what it should and changes only what was asked."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from cellsignal.augment import Draws, augment, dihedral, standardize, views
from cellsignal.config.learning import AugmentSettings
from cellsignal.errors import BadInput

OFF = {"flips": False, "rotations": False}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draws(seed: int = 0) -> Draws:
    return Draws(generator(seed))


def images(n: int = 200, size: int = 8) -> torch.Tensor:
    return torch.randn((n, 2, size, size), generator=generator(1))


def which_element(image: torch.Tensor, original: torch.Tensor) -> int:
    return next(k for k in range(8) if torch.equal(dihedral(original, k), image))


@pytest.mark.parametrize(("flips", "rotations", "elements"), [
    (True, True, {0, 1, 2, 3, 4, 5, 6, 7}),
    (True, False, {0, 2, 4, 6}),
    (False, True, {0, 1, 2, 3}),
])  # fmt: skip
def test_flips_and_rotations_draw_every_element_of_their_group(flips, rotations, elements):
    batch = images()
    moved = augment(batch, AugmentSettings(flips=flips, rotations=rotations), draws())
    found = [which_element(a, b) for a, b in zip(moved, batch, strict=True)]
    assert set(found) == elements
    assert max(np.bincount(found)) < 2 * 200 / len(elements)


def test_the_eight_views_are_numpys_rotations_then_their_mirror_images():
    batch = images(1)
    array = batch.numpy()
    expected = [np.rot90(array, k, (2, 3)) for k in range(4)]
    expected += [view[:, :, :, ::-1] for view in expected]
    for view, right in zip(views(batch, 8), expected, strict=True):
        np.testing.assert_array_equal(view.numpy(), right)
    assert len(list(views(batch, 4))) == 4


def test_oblong_images_cannot_be_turned_and_the_message_says_what_to_set():
    with pytest.raises(BadInput, match=r"6 x 8 pixels.*rotations: false"):
        augment(torch.zeros(1, 1, 6, 8), AugmentSettings(), draws())
    assert augment(torch.zeros(1, 1, 6, 8), AugmentSettings(rotations=False), draws()).shape == (
        1,
        1,
        6,
        8,
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_standardize_is_numpys_arithmetic(dtype):
    random = np.random.default_rng(0)
    pixels = random.integers(0, np.iinfo(dtype).max, (3, 2, 4, 5)).astype(dtype)
    mean, std = random.uniform(10, 60, (3, 2)), random.uniform(1, 20, (3, 2))
    found = standardize(torch.from_numpy(pixels), torch.tensor(mean).float(), torch.tensor(std).float())
    expected = (pixels - mean[:, :, None, None]) / std[:, :, None, None]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-4)


def test_jittered_statistics_stay_within_their_bounds():
    pixels = torch.full((400, 1, 1, 1), 110, dtype=torch.uint8)
    mean, std = torch.full((400, 1), 100.0), torch.full((400, 1), 10.0)
    found = standardize(pixels, mean, std, AugmentSettings(statistics_jitter=0.1), draws()).flatten()
    # (110 - 100·(1 ± .1)) / (10·(1 ± .1))
    assert found.min() >= 0.0 and found.max() <= 20 / 9 + 1e-3
    assert found.std() > 0.3


def test_gain_and_offset_have_the_asked_standard_deviations():
    pixels = torch.full((20_000, 1, 1, 1), 20, dtype=torch.uint8)
    mean, std = torch.full((20_000, 1), 10.0), torch.full((20_000, 1), 10.0)
    gain = standardize(pixels, mean, std, AugmentSettings(gain=0.2), draws()).flatten()
    assert gain.log().std().item() == pytest.approx(0.2, rel=0.03)
    offset = standardize(pixels, mean, std, AugmentSettings(offset=0.3), draws()).flatten()
    assert offset.std().item() == pytest.approx(0.3, rel=0.03)
    assert offset.mean().item() == pytest.approx(1.0, abs=0.01)


def test_zoom_matches_scipys_affine_transform():
    image = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(32, 32)), 2).astype(np.float32)
    settings = AugmentSettings(**OFF, scale=[2.0, 2.0])
    found = augment(torch.from_numpy(image)[None, None], settings, draws())[0, 0].numpy()
    expected = ndimage.affine_transform(image, [0.5, 0.5], offset=15.5 / 2, order=1)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_free_rotation_matches_scipys_on_an_oblong_image():
    image = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(48, 64)), 3).astype(np.float32)
    settings = AugmentSettings(**OFF, rotate_degrees=20.0)
    found = augment(torch.from_numpy(image)[None, None], settings, draws())[0, 0].numpy()
    angle = np.rad2deg(np.deg2rad(20) * (2 * _second_draw() - 1))
    expected = ndimage.rotate(image, angle, reshape=False, order=1)
    inner = (slice(16, 32), slice(16, 48))
    np.testing.assert_allclose(found[inner], expected[inner], atol=2e-3)


def _second_draw() -> float:
    random = generator()
    torch.rand(1, generator=random)  # the zoom
    return torch.rand(1, generator=random).item()


def test_a_crop_is_a_square_inside_the_image_scaled_back_to_its_size():
    size, n = 64, 600
    place = torch.arange(float(size))
    ramps = torch.stack([place.expand(size, size), place[:, None].expand(size, size)]).expand(n, 2, size, size)
    cropped = augment(ramps.contiguous(), AugmentSettings(**OFF, crop=0.5), draws())
    across, down = cropped[:, 0, 32, 1:-1], cropped[:, 1, 1:-1, 32]
    side = (across[:, -1] - across[:, 0]) / (size - 3)
    torch.testing.assert_close((down[:, -1] - down[:, 0]) / (size - 3), side, rtol=1e-3, atol=1e-3)  # square
    assert side.min() >= 0.499 and side.max() <= 1.001
    assert side.mean().item() == pytest.approx(0.75, abs=0.02) and side.std().item() == pytest.approx(0.144, abs=0.01)
    for centre in (across.mean(1), down.mean(1)):
        free = (1 - side) * size / 2  # how far the centre of a crop of this side can lie from the image's
        assert ((centre - (size - 1) / 2).abs() <= free + 0.01).all()
        assert ((centre - (size - 1) / 2) / free)[side < 0.9].std().item() == pytest.approx(3**-0.5, abs=0.04)


def test_shift_moves_by_at_most_its_share():
    image = torch.zeros(300, 1, 40, 40)
    image[:, :, 20, 20] = 1.0
    moved = augment(image, AugmentSettings(**OFF, shift=0.2), draws())
    grid = torch.arange(40.0)
    rows = (moved.sum((1, 3)) * grid).sum(1)
    assert (rows - 20).abs().max() <= 8.01 and (rows - 20).abs().max() > 6


def test_erasing_hits_the_asked_share_of_images_with_one_rectangle_of_the_published_area():
    erased = augment(torch.ones(1000, 2, 32, 32), AugmentSettings(**OFF, erase=0.4), draws()) == 0
    assert torch.equal(erased[:, 0], erased[:, 1])
    hit = erased[:, 0].any(2).any(1)
    assert hit.float().mean().item() == pytest.approx(0.4, abs=0.05)
    for mask in erased[hit][:50, 0]:
        rectangle = mask.any(1).sum() * mask.any(0).sum()
        assert mask.sum() == rectangle
        assert 0.01 < rectangle / 32**2 < 0.4


def test_weak_views_are_flips_and_rotations_only():
    batch = images()
    settings = AugmentSettings(scale=[0.5, 2.0], erase=1.0)
    for a, b in zip(augment(batch, settings, draws(), weak=True), batch, strict=True):
        assert which_element(a, b) in range(8)


def test_the_same_seed_gives_the_same_batch_and_another_seed_another():
    batch, settings = images(), AugmentSettings(scale=[0.8, 1.2], shift=0.1, rotate_degrees=10.0, erase=0.5)
    assert torch.equal(augment(batch, settings, draws(3)), augment(batch, settings, draws(3)))
    assert not torch.equal(augment(batch, settings, draws(3)), augment(batch, settings, draws(4)))
