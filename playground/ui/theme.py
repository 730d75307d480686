"""The look of the page: a grey theme of Gradio's, style sheets, and the scripts of the page.

Gradio takes these where a page is launched, not where it is built.
"""

from __future__ import annotations

from typing import Any

import gradio as gr
from gradio.themes.utils import fonts

from playground.ui.element import ASSETS

SCRIPTS = (
    "mounting", "page", "part", "copy", "connection", "area", "turns", "address", "chat", "refer",
    "branches", "history", "chooser", "scrolling", "step_menu", "shape", "picks", "picture",
    "save", "tree_drawing", "beam_tree", "beam_drawing",
)  # fmt: skip
SHEETS = (  # in their order: what depends on a width comes after what it changes
    "page", "taking", "setup", "card", "columns", "exchange", "text", "widths", "preview",
    "chooser", "inspector", "rows", "save", "listing", "panels", "changes", "tree", "apart",
    "beams", "walk", "ribbon", "data_table", "dock", "decide", "archive", "all_texts",
)  # fmt: skip


def theme() -> gr.themes.Base:
    """Fonts and colours. Gradio serves these fonts itself, in these two weights alone."""
    base = gr.themes.Base(
        primary_hue=gr.themes.colors.orange,
        neutral_hue=gr.themes.colors.zinc,
        text_size=gr.themes.sizes.text_md,
        spacing_size=gr.themes.sizes.spacing_sm,
        radius_size=gr.themes.sizes.radius_md,
        font=(fonts.LocalFont("Source Sans Pro", (400, 700)), "system-ui", "sans-serif"),
        font_mono=(fonts.LocalFont("IBM Plex Mono", (400, 700)), "ui-monospace", "monospace"),
    )
    return base.set(
        body_background_fill="#F6F6F7",
        body_background_fill_dark="#141417",
        block_background_fill="#FFFFFF",
        block_background_fill_dark="#1D1D21",
        background_fill_primary="#FFFFFF",
        background_fill_primary_dark="#1D1D21",
        background_fill_secondary="#F6F6F7",
        background_fill_secondary_dark="#26262B",
        border_color_primary="#E2E2E6",
        border_color_primary_dark="#36363D",
        body_text_color="#18181B",
        body_text_color_dark="#EDEDF0",
        body_text_color_subdued="#5F5F6B",
        body_text_color_subdued_dark="#A3A3AF",
        block_border_width="0px",
        block_shadow="none",
        input_background_fill="#FFFFFF",
        input_background_fill_dark="#141417",
        input_border_color="#D4D4DA",
        input_border_color_dark="#44444D",
        input_border_width="1px",
        button_primary_background_fill="#C2410C",
        button_primary_background_fill_hover="#9A3412",
        button_primary_background_fill_dark="#C2410C",
        button_primary_background_fill_hover_dark="#9A3412",
        button_primary_text_color="#FFFFFF",
        button_primary_text_color_dark="#FFFFFF",
        color_accent="#C2410C",
        slider_color="#C2410C",
        slider_color_dark="#F97316",
    )


def launch_options() -> dict[str, Any]:
    """The arguments of ``Blocks.launch`` for theme, style sheets and scripts."""
    scripts = [(ASSETS / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS]
    script = "\n".join(scripts)
    return {
        "theme": theme(),
        "css_paths": [ASSETS / f"{name}.css" for name in SHEETS],
        "head": f"<script>\n{script}\n</script>",
    }
