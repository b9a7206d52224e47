"""Figures of the report: one module per figure, one look (`style`).

Each module has one public function of the module's name that takes plain tables and arrays and returns a
matplotlib `Figure`. Charts are meant for SVG, figures that hold images or clouds of points for PNG. The
provenance page is HTML instead.
"""
