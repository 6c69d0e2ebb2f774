"""Rewrites LaTeX in one canonical spelling. Changes only the notation, never the value."""

import re
import unicodedata

_UNICODE = {
    "−": "-", "–": "-", "—": "-", "﹣": "-", "－": "-", "‐": "-", "‑": "-", "＋": "+", "＝": "=", "＜": "<", "＞": ">",
    "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "∙": r"\cdot ", "÷": r"\div ", "∕": "/", "⁄": "/", "／": "/",
    "≤": r"\le ", "⩽": r"\le ", "≥": r"\ge ", "⩾": r"\ge ", "≠": r"\ne ", "≈": r"\approx ", "±": r"\pm ",
    "∞": r"\infty ", "∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ", "∅": r"\emptyset ", "ℝ": r"\mathbb{R}",
    "π": r"\pi ", "θ": r"\theta ", "α": r"\alpha ", "β": r"\beta ", "γ": r"\gamma ", "λ": r"\lambda ", "φ": r"\phi ",
    "√": r"\sqrt ", "°": r"^{\circ}", "∠": r"\angle ", "％": "%", "（": "(", "）": ")", "［": "[", "］": "]",
    "｛": r"\{", "｝": r"\}", "，": ",", "；": ";", "：": ":", "．": ".", "、": ",",
    "½": r"\frac{1}{2}", "⅓": r"\frac{1}{3}", "⅔": r"\frac{2}{3}", "¼": r"\frac{1}{4}", "¾": r"\frac{3}{4}",
    "⅕": r"\frac{1}{5}", "⅖": r"\frac{2}{5}", "⅗": r"\frac{3}{5}", "⅘": r"\frac{4}{5}", "⅙": r"\frac{1}{6}",
    "⅚": r"\frac{5}{6}", "⅛": r"\frac{1}{8}", "⅜": r"\frac{3}{8}", "⅝": r"\frac{5}{8}", "⅞": r"\frac{7}{8}",
}  # fmt: skip
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")

# Order matters: each rule sees the output of those above it.
_RULES = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"(?<!\\)\$|(?<!\\)\\[()\[\]]", " "),
        (r"\\(?:boxed|fbox)\s*\{([^{}]*)\}", r"\1"),
        (r"\\(?:displaystyle|textstyle|limits|nolimits|left\.|right\.|[bB]igg?[lrm]?(?![a-zA-Z]))", " "),
        (r"\\(?:left|right|middle)(?![a-zA-Z])", ""),
        (r"(?<=\d)(?:,|\{,\})\\! ?(?=\d{3}(?!\d))", ""),
        (r"(?<!\\)\\!", ""),
        (r"(?<=\d)(?:\\[,;: ]|~|\{,\})(?=\d{3}(?!\d))", ""),
        (r"(?<!\\)\\[,;:> ]|~|\\q?quad|\\(?:thin|en|med|thick)space(?![a-zA-Z])", " "),
        (r"\\[dtc]frac(?![a-zA-Z])", r"\\frac"),
        (r"\\(?:text(?:bf|rm|it|sf|tt|normal|up)|mathrm|mathsf|mathtt|operatorname\*?|mbox|hbox)\s*(?=\{)", r"\\text"),
        (r"\\(?:mathbf|boldsymbol|bm|mathit|mathnormal)\s*\{([^{}]*)\}", r"\1"),
        (r"\\text\{\s*([eid])\s*\}", r"\1"),
        (r"\\(?:leq|leqslant|leqq)(?![a-zA-Z])", r"\\le "),
        (r"\\(?:geq|geqslant|geqq)(?![a-zA-Z])", r"\\ge "),
        (r"\\lt(?![a-zA-Z])", "<"),
        (r"\\gt(?![a-zA-Z])", ">"),
        (r"\\neq(?![a-zA-Z])", r"\\ne "),
        (r"\\(?:varnothing|empty)(?![a-zA-Z])", r"\\emptyset "),
        (r"\\(?:lbrace)(?![a-zA-Z])", r"\\{"),
        (r"\\(?:rbrace)(?![a-zA-Z])", r"\\}"),
        (r"\\(?:lbrack)(?![a-zA-Z])", "["),
        (r"\\(?:rbrack)(?![a-zA-Z])", "]"),
        (r"\\(?:R|reals|Reals)(?![a-zA-Z])", r"\\mathbb{R}"),
        (r"\\(?:lor|vee)(?![a-zA-Z])", r"\\text{or}"),
        (r"\\(?:land|wedge)(?![a-zA-Z])", r"\\text{and}"),
        (r"\^\s*\{?\s*\\(?:circ|degree)\s*\}?|\\degree(?![a-zA-Z])", r"^{\\circ}"),
        (r"\\infinity(?![a-zA-Z])", r"\\infty "),
        (r"\\%|\\text\{\s*(?:%|percent|per cent|percentage|pct\.?)\s*\}|(?<=\d)\s*(?:percent|percentage|pct)\b", "%"),
        (r"\\frac\s*(\d)\s*([0-9a-zA-Z])", r"\\frac{\1}{\2}"),
        (r"\\frac\s*(\d|[a-zA-Z])\s*\{", r"\\frac{\1}{"),
        (r"(\\frac\s*\{[^{}]*\})\s*(\d|[a-zA-Z])", r"\1{\2}"),
        (r"\\sqrt\s*(\d|[a-zA-Z])", r"\\sqrt{\1}"),
        (r"(\\sqrt\[[^\[\]{}]*\])\s*(\d|[a-zA-Z])", r"\1{\2}"),
        (r"\\pmod\s*(\d+)", r"\\pmod{\1}"),
        (r"\\(frac|sqrt)\s+(?=[{\[])", r"\\\1"),
        (r"(\\frac\{[^{}]*\})\s+(?=\{)", r"\1"),
        (r"\s+", " "),
    )
]


def clean(answer: str) -> str:
    """The answer in canonical spelling: ASCII digits and signs, plain fractions; no delimiters, spacing or fonts."""
    text = _to_ascii(answer)
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return re.sub(r"[ ,;:]*\.?[ ,;:]*$", "", text).lstrip(" ")


def compact(text: str) -> str:
    """A cleaned answer as a comparison key: without spaces (but `1, 234` is not `1,234`), `x^{2}` as `x^2`."""
    text = re.sub(r"(?<![a-zA-Z0-9,]) | (?![a-zA-Z0-9])|(?<=,) (?!\d)", "", text)
    return re.sub(r"(?<=[\^_])\{(\w)\}", r"\1", text)


def _to_ascii(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    text = re.sub("[⁰¹²³⁴-⁹⁻]+", lambda run: f"^{{{run.group().translate(_SUPERSCRIPTS)}}}", text)
    text = re.sub("[₀-₉]+", lambda run: f"_{{{run.group().translate(_SUBSCRIPTS)}}}", text)
    return "".join(_UNICODE.get(char) or _ascii_char(char) for char in text)


def _ascii_char(char: str) -> str:
    category = unicodedata.category(char)
    if category == "Nd":
        return str(unicodedata.digit(char))
    if category in ("Zs", "Zl", "Zp", "Cc"):
        return " "
    return "" if category == "Cf" else char
