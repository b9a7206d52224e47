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


def sampled(image: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Linear interpolation at pixel coordinates, by SciPy."""
    return ndimage.map_coordinates(image.astype(float), [y, x], order=1, mode="mirror")


def smooth_image(size: int = 32) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(float(size)), torch.arange(float(size)), indexing="ij")
    return torch.sin(x / 5) + torch.cos(y / 7)


def test_shear_moves_each_row_sideways_by_its_distance_from_the_middle():
    size, n = 32, 60
    image = smooth_image(size)
    sheared = augment(image.expand(n, 1, size, size).contiguous(), AugmentSettings(**OFF, shear=0.3), draws())
    drawn = draws().uniform(1.0, 1.0, n)  # the zoom, angle and shift come first
    generator_ = draws()
    for low, high, shape in ((1.0, 1.0, ()), (-0.0, 0.0, ()), (-0.0, 0.0, (2,))):
        generator_.uniform(low, high, n, *shape)
    slant = generator_.uniform(-0.3, 0.3, n)
    assert drawn.unique().tolist() == [1.0] and slant.abs().max() > 0.25
    y, x = np.mgrid[0:size, 0:size].astype(float)
    inner = np.s_[6:-6, 10:-10]
    for found, k in zip(sheared[:, 0].numpy(), slant.tolist(), strict=True):
        expected = sampled(image.numpy(), x + k * (y - (size - 1) / 2), y)
        np.testing.assert_allclose(found[inner], expected[inner], atol=2e-3)


def test_perspective_is_the_projection_of_a_tilted_plane():
    size, n = 32, 40
    image = smooth_image(size)
    found = augment(image.expand(n, 1, size, size).contiguous(), AugmentSettings(**OFF, perspective=0.2), draws())
    generator_ = draws()
    for low, high, shape in ((1.0, 1.0, ()), (-0.0, 0.0, ()), (-0.0, 0.0, (2,))):
        generator_.uniform(low, high, n, *shape)
    nearer = generator_.uniform(-0.2, 0.2, n, 2).numpy()
    half = size / 2
    y, x = ((np.mgrid[0:size, 0:size].astype(float) + 0.5) / half) - 1
    inner = np.s_[8:-8, 8:-8]
    for view, (px, py) in zip(found[:, 0].numpy(), nearer, strict=True):
        depth = 1 + px * x + py * y
        expected = sampled(image.numpy(), (x / depth + 1) * half - 0.5, (y / depth + 1) * half - 0.5)
        np.testing.assert_allclose(view[inner], expected[inner], atol=2e-3)


def test_salt_and_pepper_are_the_extremes_of_each_channel_in_equal_parts():
    batch = torch.rand(300, 2, 24, 24, generator=generator(2))
    noisy = augment(batch, AugmentSettings(**OFF, salt_pepper=0.4), draws())
    shares = []
    for image, original in zip(noisy, batch, strict=True):
        changed = (image != original).any(0)
        for channel, before in zip(image, original, strict=True):
            values = set(channel[changed].tolist())
            assert values <= {before.max().item(), before.min().item()}
        salt = (image[0] == original[0].max()).float().mean().item()
        pepper = (image[0] == original[0].min()).float().mean().item()
        assert abs(salt - pepper) < 0.08
        shares.append(changed.float().mean().item())
    assert max(shares) < 0.45 and np.mean(shares) == pytest.approx(0.2, abs=0.02)


def test_illumination_is_a_plane_that_multiplies_grey_levels():
    pixels = torch.full((200, 2, 16, 20), 100, dtype=torch.uint8)
    mean, std = torch.full((200, 2), 40.0), torch.full((200, 2), 20.0)
    found = standardize(pixels, mean, std, AugmentSettings(illumination=0.3), draws()) * 20.0 + 40.0
    torch.testing.assert_close(found[:, 0], found[:, 1])
    field = found[:, 0].numpy() / 100
    y, x = np.mgrid[0:16, 0:20].astype(float)
    design = np.stack([np.ones(320), (x.ravel() + 0.5) / 10 - 1, (y.ravel() + 0.5) / 8 - 1], 1)
    slopes = []
    for plane in field:
        weights, residual, *_ = np.linalg.lstsq(design, plane.ravel(), rcond=None)
        assert residual.sum() < 1e-8 and weights[0] == pytest.approx(1.0, abs=1e-5)
        slopes.append(np.hypot(*weights[1:]))
    assert max(slopes) <= 0.3 + 1e-5 and max(slopes) > 0.27
    plain = standardize(pixels, mean, std)
    torch.testing.assert_close(standardize(pixels, mean, std, AugmentSettings(), draws()), plain)


def test_a_share_without_sites_draws_the_numbers_of_the_others_all_the_same():
    settings = AugmentSettings(scale=[0.8, 1.2], shear=0.1, perspective=0.1, erase=0.5, salt_pepper=0.1)
    states = []
    for part in (torch.arange(0), torch.arange(4)):
        drawn = generator(6)
        batch = augment(torch.zeros(len(part), 2, 8, 8), settings, Draws(drawn, 4, part))
        assert batch.shape == (len(part), 2, 8, 8)
        states.append(drawn.get_state())
    assert torch.equal(*states)


NEW = ["shear", "perspective", "salt_pepper", "illumination"]


@pytest.mark.parametrize("name", NEW)
def test_each_site_meets_the_same_numbers_in_a_shared_out_batch(name):
    settings = AugmentSettings(**OFF, **{name: 0.3})
    pixels = torch.randint(0, 255, (6, 2, 16, 16), generator=generator(4), dtype=torch.uint8)
    mean, std = torch.full((6, 2), 90.0), torch.full((6, 2), 30.0)

    def view(part: torch.Tensor) -> torch.Tensor:
        drawn = Draws(generator(5), 6, part)
        return augment(standardize(pixels[part], mean[part], std[part], settings, drawn), settings, drawn)

    part = torch.tensor([1, 3, 4])
    torch.testing.assert_close(view(part), view(torch.arange(6))[part])
    assert not torch.allclose(view(torch.arange(6)), standardize(pixels, mean, std))


def test_weak_views_are_flips_and_rotations_only():
    batch = images()
    settings = AugmentSettings(scale=[0.5, 2.0], erase=1.0)
    for a, b in zip(augment(batch, settings, draws(), weak=True), batch, strict=True):
        assert which_element(a, b) in range(8)


def test_the_same_seed_gives_the_same_batch_and_another_seed_another():
    batch, settings = images(), AugmentSettings(scale=[0.8, 1.2], shift=0.1, rotate_degrees=10.0, erase=0.5)
    assert torch.equal(augment(batch, settings, draws(3)), augment(batch, settings, draws(3)))
    assert not torch.equal(augment(batch, settings, draws(3)), augment(batch, settings, draws(4)))
