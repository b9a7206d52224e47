"""`report`: the figures."""

from pydantic import Field

from cellsignal.config.base import Section


class ReportSettings(Section):
    """Figures of the report."""

    example_sites: int = Field(4, ge=1, le=24, description="sites per channel grid")
    example_plates: int = Field(2, ge=1, le=16, description="plates drawn as plate maps")
    tsne_sites: int = Field(4000, ge=50, description="largest sample of sites for t-SNE")
    grad_cam_layer: str | None = Field(
        None, description="module of the model whose feature map is read, such as `backbone.layer3`; default: the last"
    )
    grad_cam_sites: int = Field(4, ge=1, le=24, description="sites with Grad-CAM")
