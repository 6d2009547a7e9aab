"""The page's colours: small text can be read on them."""

import pytest

from chat.page.theme import theme

COLOURS = {"white": "#ffffff"}
PAIRS = [
    ("checkbox_label_text_color_selected", "checkbox_label_background_fill_selected"),
    ("checkbox_label_text_color", "checkbox_label_background_fill_hover"),
    ("button_primary_text_color", "button_primary_background_fill"),
    ("button_primary_text_color_hover", "button_primary_background_fill_hover"),
    ("button_secondary_text_color", "button_secondary_background_fill"),
    ("button_secondary_text_color_hover", "button_secondary_background_fill_hover"),
    ("body_text_color_subdued", "body_background_fill"),
    ("block_info_text_color", "block_background_fill"),
    ("input_placeholder_color", "input_background_fill"),
]


def colour(name: str, suffix: str) -> str:
    """Of a variable of the theme, #rrggbb; `suffix` is `_dark` or nothing."""
    found = theme()
    value = getattr(found, name + suffix, None) or getattr(found, name)
    return colour(value[1:], suffix) if value.startswith("*") else COLOURS.get(value, value)


def luminance(colour: str) -> float:
    """Relative luminance, 0 to 1 (WCAG 2.2)."""
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("suffix", ["", "_dark"])
@pytest.mark.parametrize(("text", "ground"), PAIRS)
def test_small_text_has_the_contrast_that_it_needs(text, ground, suffix):
    darker, lighter = sorted(luminance(colour(name, suffix)) for name in (text, ground))
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5
