"""Backbones take any channel count, and pretrained files are used as they are or refused by name."""

import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file

from cellsignal.backbones import adapt_stem, create_backbone, n_features
from cellsignal.config.backbone_names import unknown_backbone
from cellsignal.errors import BadInput


def saved(tmp_path, tensors):
    path = tmp_path / "weights.safetensors"
    save_file({name: tensor.clone().contiguous() for name, tensor in tensors.items()}, path)
    return path


def in_a_fresh_process(code):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)


def test_timm_imports_in_a_fresh_process_and_a_second_import_is_harmless():
    code = "import cellsignal.backbones, importlib, timm; importlib.reload(timm); print(timm.__version__)"
    done = in_a_fresh_process(code)
    assert done.returncode == 0, done.stderr


def test_a_healthy_torchvision_is_left_alone():
    code = (
        "import sys, types; sys.modules['torchvision'] = types.ModuleType('torchvision')\n"
        "try:\n import cellsignal.backbones\nexcept ImportError: pass\n"  # timm misses the fake's contents
        "import torch\n"
        "try:\n torch.ops.torchvision.nms\nexcept AttributeError: print('not declared')"
    )
    done = in_a_fresh_process(code)
    assert done.stdout.strip() == "not declared", done.stderr


@pytest.mark.parametrize(("name", "width"), [("resnet10t", 512), ("mobilenetv3_small_050", 1024)])
def test_pooled_features_have_the_stated_width_for_six_channels(name, width):
    backbone = create_backbone(name, 6).eval()
    assert backbone(torch.zeros(2, 6, 48, 48)).shape == (2, width)
    assert n_features(backbone) == width


def test_options_reach_the_backbone_and_a_wrong_one_is_named():
    narrow = create_backbone("resnet10t", 6, {"stem_width": 16})
    assert narrow.conv1[0].weight.shape[0] < create_backbone("resnet10t", 6).conv1[0].weight.shape[0]
    with pytest.raises(BadInput, match=r"backbone_options of resnet10t.*stem_breadth"):
        create_backbone("resnet10t", 6, {"stem_breadth": 16})


def test_an_unknown_backbone_names_its_neighbours():
    with pytest.raises(BadInput, match=r"resnet10x.*nearest: .*resnet10t"):
        create_backbone("resnet10x", 6)


def test_every_name_that_timm_knows_is_known_without_importing_it():
    from timm.models import _registry, list_models

    old = set(_registry._deprecated_models)
    assert len(list_models()) > 1000 and len(old) > 100
    assert not [name for name in {*list_models(), *old} if unknown_backbone(name)]
    assert not unknown_backbone("resnet18.a1_in1k") and not unknown_backbone("hf-hub:timm/resnet18")


def widths(block: torch.nn.Module) -> tuple[int, int]:
    """Channels that an Xception block takes and gives, by its separable convolutions."""
    convolutions = [layer for layer in block.rep if hasattr(layer, "pointwise")]
    return convolutions[0].pointwise.in_channels, convolutions[-1].pointwise.out_channels


def test_xception_wide_has_deepnoises_widths():
    wide = create_backbone("xception_wide", 6).eval()
    assert wide.conv1.weight.shape == (64, 6, 7, 7) and wide.conv1.stride == (2, 2)
    assert wide.conv2.weight.shape[:2] == (128, 64)
    entry = [widths(getattr(wide, f"block{n}")) for n in (1, 2, 3)]
    assert entry == [(128, 256), (256, 384), (384, 1024)]
    assert widths(wide.block12) == (1024, 1024)
    assert [conv.pointwise.out_channels for conv in (wide.conv3, wide.conv4)] == [1536, 2048]
    assert [stage["num_chs"] for stage in wide.feature_info] == [128, 256, 384, 1024, 2048]
    middle = [getattr(wide, f"block{n}").rep[1].pointwise.weight.shape[:2] for n in range(4, 12)]
    assert middle == [(1024, 1024)] * 8
    assert wide(torch.zeros(1, 6, 64, 64)).shape == (1, 2048) and n_features(wide) == 2048
    with pytest.raises(BadInput, match="no weights are published"):
        create_backbone("xception_wide", 6, pretrained=True)


def test_the_capstones_baseline_has_its_published_layers():
    with torch.device("meta"):  # its fully connected layer alone has 145 million weights
        baseline = create_backbone("capstone_cnn", 6)
        assert baseline(torch.zeros(2, 6, 512, 512)).shape == (2, 2216) and n_features(baseline) == 2216
    shapes = [tuple(weight.shape) for weight in baseline.parameters()]
    assert shapes == [(16, 6, 7, 7), (64, 16, 7, 7), (2216, 65536)]  # no biases
    small = create_backbone("capstone_cnn", 3, {"image_size": 48, "width": 10})
    assert small(torch.zeros(2, 3, 48, 48)).shape == (2, 10)
    with pytest.raises(BadInput, match="image_size 50; expected a multiple of 16"):
        create_backbone("capstone_cnn", 3, {"image_size": 50})


def test_a_memory_efficient_densenet_has_the_gradients_of_a_plain_one():
    images = torch.randn(2, 6, 32, 32, generator=torch.Generator().manual_seed(0))
    gradients = []
    for efficient in (False, True):
        torch.manual_seed(0)
        small = {"memory_efficient": efficient, "growth_rate": 8, "block_config": (2, 2)}
        backbone = create_backbone("densenet161", 6, small)
        backbone(images).square().sum().backward()
        gradients.append({name: weight.grad for name, weight in backbone.named_parameters()})
    assert any(block.grad_checkpointing for block in backbone.modules() if hasattr(block, "grad_checkpointing"))
    for name, plain in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], plain, rtol=1e-4, atol=1e-5, msg=name)
    with torch.device("meta"):
        assert n_features(create_backbone("densenet161", 6)) == 2208


@pytest.mark.parametrize("n_channels", [1, 2, 4, 6, 7])
def test_an_adapted_stem_answers_equal_channels_as_before(n_channels):
    weight, image = torch.randn(5, 3, 7, 7), torch.randn(1, 1, 16, 16)
    before = torch.nn.functional.conv2d(image.repeat(1, 3, 1, 1), weight)
    after = torch.nn.functional.conv2d(image.repeat(1, n_channels, 1, 1), adapt_stem(weight, n_channels))
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4)


def test_a_pretrained_rgb_file_changes_only_the_stem_and_this_is_said(tmp_path):
    rgb, said = create_backbone("resnet10t", 3), []
    path = saved(tmp_path, {**rgb.state_dict(), "fc.weight": torch.zeros(10, 512), "fc.bias": torch.zeros(10)})
    six = create_backbone("resnet10t", 6, pretrained=str(path), log=said.append)
    for name, tensor in six.state_dict().items():
        if name == "conv1.0.weight":
            torch.testing.assert_close(tensor, rgb.state_dict()[name].repeat(1, 2, 1, 1) / 2)
        else:
            assert torch.equal(tensor, rgb.state_dict()[name])
    assert said == [f"{path}: conv1.0.weight adapted from 3 to 6 channels; all else as in the file"]
    create_backbone("resnet10t", 3, pretrained=path, log=said.append)
    assert len(said) == 1


def test_every_tensor_that_does_not_fit_is_named(tmp_path):
    tensors = create_backbone("resnet10t", 6).state_dict()
    del tensors["bn1.bias"]
    tensors["layer1.0.conv1.weight"] = torch.zeros(1, 2, 3, 3)
    tensors["other.weight"] = torch.zeros(3)
    with pytest.raises(BadInput) as error:
        create_backbone("resnet10t", 6, pretrained=saved(tmp_path, tensors))
    assert len(error.value.problems) == 3
    for words in (
        "bn1.bias is missing",
        "conv1.weight has shape (1, 2, 3, 3), expected",
        "other.weight belongs to",
    ):
        assert words in str(error.value)


@pytest.mark.parametrize("content", [b"", b"\x80\x04pickled", b"\xff" * 100])
def test_a_file_that_is_not_safetensors_is_refused(tmp_path, content):
    path = tmp_path / "model.pth"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=r"model.pth: not a readable safetensors file"):
        create_backbone("resnet10t", 6, pretrained=path)
    with pytest.raises(BadInput, match="no such file"):
        create_backbone("resnet10t", 6, pretrained=tmp_path / "absent.safetensors")
