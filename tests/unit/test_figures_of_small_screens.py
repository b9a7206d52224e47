"""Every figure's script draws screens of every small shape: nothing that a screen lacks makes one fail."""

from pathlib import Path

import pandas as pd
import pytest
from drawn_screen import Drawn, Shape
from PIL import Image

from cellsignal.figures import style

SHAPES = {
    "two classes": Shape(classes=2, controls=False),
    "two classes and controls, one site per well, one channel": Shape(classes=2, sites=1, channels=("DNA",)),
    "three classes, no positions": Shape(classes=3, controls=False, cell_types=("HUVEC", "A549"), positions=False),
    "one experiment": Shape(train=1, test=0),
    "experiments of one plate": Shape(train=6, test=0, plates=1, classes=3),
    "a train plate and a test plate, nothing held out, no answers": Shape(
        train=1, plates=1, held_out=False, answers=False
    ),
    "one plate of two wells": Shape(
        classes=2, train=1, test=0, plates=1, sites=1, channels=("DNA",), controls=False, positions=False
    ),
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=list(SHAPES))
@pytest.mark.filterwarnings("error")
def test_every_figure_is_drawn(shape: Shape, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(style.LOOK, "savefig.dpi", 40.0)  # to be quick
    screen = Drawn(tmp_path, shape)
    failed = {}
    for name in screen.names:
        try:
            suffix = screen.draw(name)
        except Exception as error:  # all figures of a screen at once
            failed[name] = repr(error)
            continue
        path = screen.figure(f"{name}.{suffix}")
        content = path.read_bytes()
        assert content.rstrip().endswith((b"</svg>", b"</html>", b"IEND\xaeB`\x82"))
        if suffix == "png":
            with Image.open(path) as image:
                assert image.convert("L").getextrema()[0] < 128  # not blank
        if suffix != "html":
            pd.read_csv(path.with_suffix(".csv"))
    assert not failed
