"""Heat maps of the weights of 1 × 1 convolutions, with a measure of their bands."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from cellsignal.figures import style
from cellsignal.kernels import Bands


def band_table(bands: Mapping[str, Bands]) -> pd.DataFrame:
    """One row per layer and input channel; the layer's own measures are repeated on each."""
    parts = [
        pd.DataFrame(
            {
                "layer": layer,
                "input": np.arange(len(found.mean)),
                "mean": found.mean,
                "spread": found.spread,
                "constant": found.constant,
                "inputs_share": found.inputs_share,
                "outputs_share": found.outputs_share,
                "period": found.period,
                "repetition": found.repetition,
                "repetition_by_chance": found.chance,
            }
        )
        for layer, found in bands.items()
    ]
    return pd.concat(parts, ignore_index=True)


@style.look()
def kernel_bands(weights: Mapping[str, np.ndarray], bands: Mapping[str, Bands], model: str) -> Figure:
    """For each layer the weights (outputs × inputs), and below them each input's spread over the outputs.

    `weights`: layer → float (outputs, inputs). `bands`: layer → `kernels.find_bands` of it. `model`: its name.
    """
    if not weights:
        return style.note(f"{model} has no 1 × 1 convolution that mixes channels.")
    figure, axes = style.panels(2, len(weights), max(6.5, 5.8 * len(weights)), 6.2, sharex="col", height_ratios=(2, 1))
    for column, (layer, matrix) in enumerate(weights.items()):
        above, below = axes[:, column]
        limit = float(np.quantile(np.abs(matrix), 0.99)) or 1.0
        extent = (-0.5, matrix.shape[1] - 0.5, matrix.shape[0] - 0.5, -0.5)
        image = above.imshow(matrix, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto", extent=extent)
        found = bands[layer]
        above.set_title(f"{model}\n{layer}\n{_numbers(found)}", fontsize=8)
        above.set_ylabel("output channel")
        figure.colorbar(image, ax=above, fraction=0.04, pad=0.02, extend="both").set_label("weight")
        inputs = np.arange(matrix.shape[1])
        below.stairs(found.spread, np.arange(len(inputs) + 1) - 0.5, fill=True, color=style.GREY)
        at = inputs[found.constant]
        if len(at):  # an empty, unclipped line would upset the layout
            below.plot(at, np.zeros(len(at)), "^", color=style.VERMILLION, markersize=5, clip_on=False)
        below.set_ylim(0, None)
        below.set_ylabel("spread over outputs")
        below.set_xlabel("input channel (triangle: constant band)")
    return figure


def _numbers(found: Bands) -> str:
    inputs, outputs = (max(0.0, share) for share in (found.inputs_share, found.outputs_share))
    text = (
        f"{int(found.constant.sum()):,} of {len(found.constant):,} inputs are constant bands\n"
        f"variance between inputs {inputs:.0%}, between outputs {outputs:.0%}\n"
        f"period {found.period}, r = {found.repetition:.2f} (chance up to {found.chance:.2f})"
    )
    return text.replace("%", " %").replace("-", "−")
