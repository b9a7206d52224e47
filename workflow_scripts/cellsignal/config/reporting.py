"""`report`: the figures."""

from typing import Annotated

from pydantic import Field

from cellsignal.config.base import Section


class ReportSettings(Section):
    """Figures and pages of the report."""

    example_sites: int = Field(4, ge=1, le=24, description="sites per channel grid")
    example_plates: int = Field(2, ge=1, le=16, description="plates drawn as plate maps")
    tsne_sites: int = Field(4000, ge=50, description="largest sample of sites for t-SNE")
    tsne_classes: Annotated[list[str], Field(min_length=1, max_length=12)] | None = Field(
        None,
        description="names of the classes that are picked out in a t-SNE map of their own; default: the three "
        "treatments with the most train sites",
    )
    explained_classes: Annotated[list[str], Field(min_length=1)] | None = Field(
        None,
        description="names of the classes whose sites get Grad-CAM, neighbours and a place on the overview page; "
        "default: treatments drawn by the seed",
    )
    explained_sites: int = Field(
        48, ge=1, le=400, description="largest number of those sites: of the classes in all experiments of fold 0"
    )
    grad_cam_layer: str | None = Field(
        None, description="module of the model whose feature map is read, such as `backbone.layer3`; default: the last"
    )
    grad_cam_sites: int = Field(4, ge=1, le=24, description="sites in the figures of Grad-CAM and of neighbours")
    neighbours: int = Field(5, ge=1, le=12, description="nearest wells of other experiments that are shown")
    kernel_layers: Annotated[list[str], Field(min_length=1, max_length=6)] | None = Field(
        None,
        description="1 × 1 convolutions whose weights are drawn, such as "
        "`backbone.features.denseblock1.denselayer6.conv1`; default: the model's first and last",
    )
    thumbnail_pixels: int = Field(96, ge=24, le=256, description="side of an image on the overview page")
