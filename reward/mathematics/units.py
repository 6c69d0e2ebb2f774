r"""Units at the end of an answer: `5\text{ cm}^2`, `\$5`, `50%`, `90^{\circ}`.

Units are recognised, never converted. Names outside the table are kept and marked as unknown: a data set may label its
own answers (`12 \text{ apples}`), but a response must not add a word that may change the meaning (`5 \text{ million}`).
"""

import re

_NAMES = {
    "mm": "mm millimeter millimetre", "cm": "cm centimeter centimetre", "m": "m meter metre",
    "km": "km kilometer kilometre", "in": "in inch inches", "ft": "ft foot feet", "yd": "yd yard", "mi": "mi mile",
    "mg": "mg milligram", "g": "g gram", "kg": "kg kilogram", "lb": "lb lbs pound", "oz": "oz ounce", "t": "ton tonne",
    "ml": "ml mL milliliter millilitre", "L": "L l liter litre", "gal": "gal gallon",
    "s": "s sec second", "min": "min minute", "h": "h hr hour", "d": "day", "week": "week", "month": "month",
    "yr": "yr year",
    "$": "dollar USD", "ct": "cent", "eur": "euro EUR", "gbp": "GBP", "rs": "rupee Rs",
    "deg": "degree deg", "rad": "rad radian", "%": "percent",
    "unit": "unit", "mph": "mph", "km/h": "km/h kph kmh", "m/s": "m/s", "cm/s": "cm/s", "m/s^2": "m/s^2",
    "mi/h": "mi/h", "N": "N newton", "J": "J joule", "W": "W watt", "V": "V volt", "Hz": "Hz hertz", "K": "K kelvin",
    "C": "C", "F": "F", "g/cm^3": "g/cm^3", "kg/m^3": "kg/m^3",
}  # fmt: skip
_CANONICAL = {name: unit for unit, names in _NAMES.items() for name in names.split()}
_CURRENCY = {r"\$": "$", "£": "gbp", "€": "eur", "₹": "rs"}
_SUFFIX = re.compile(
    r"(?P<value>.*?[\d)}a-z])\s*\\text\{\s*(?P<label>[a-zA-Z/ .^0-9]{0,40}[a-zA-Z.^0-9])\s*\}(?P<power>.{0,9})"
)
_BARE_SUFFIX = re.compile(r"(?P<value>.*\d\}*)\s*(?P<label>[a-zA-Z][a-zA-Z/ ]{0,40}?)(?P<power>(?:\^.{0,9})?)")
_POWER = re.compile(r"\s*(?:\^\s*\{?\s*([23])\s*\}?)?")
_FUNCTION = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc|arc)")
_DEGREES = re.compile(r"(?P<value>.+?)\s*\^\{\\circ\}\s*(?:\\text\{)?\s*(?P<scale>[CF]?)\s*\}?")


def split_unit(text: str) -> tuple[str, str]:
    """A cleaned answer as (value, unit); the unit is "" if there is none and starts with "?" if it is unknown."""
    for sign, unit in _CURRENCY.items():
        if text.startswith(sign):
            return text[len(sign) :].strip(), unit
        if text.startswith("-" + sign):
            return "-" + text[len(sign) + 1 :].strip(), unit
    if text.endswith("%"):
        return text[:-1].strip(), "%"
    if (match := _DEGREES.fullmatch(text)) and not _FUNCTION.search(text):
        return match["value"], match["scale"] or "deg"
    if (match := _SUFFIX.fullmatch(text)) and (power := _POWER.fullmatch(match["power"])):
        return match["value"].strip(), _canonical(match["label"], power[1])
    if (match := _BARE_SUFFIX.fullmatch(text)) and (power := _POWER.fullmatch(match["power"])):
        unit = _canonical(match["label"], power[1])
        # A single letter after a number is more often a variable than a unit.
        if not unit.startswith("?") and len(match["label"]) > 1:
            return match["value"].strip(), unit
    return text, ""


def units_agree(gold: str, answer: str) -> bool:
    """Whether the answer's unit is acceptable: the accepted answer's, none, or any known one if that has none."""
    if gold == answer or not answer:
        return True
    return not gold and not answer.startswith("?")


def _canonical(label: str, power: str | None) -> str:
    words = label.replace(".", " ").split()
    if words and words[0].lower() in ("square", "sq", "cubic", "cu") and power is None:
        power = "2" if words[0].lower().startswith("sq") else "3"
        words = words[1:]
    elif len(words) > 1 and words[-1].lower() in ("squared", "cubed") and power is None:
        power = "2" if words[-1].lower() == "squared" else "3"
        words = words[:-1]
    phrase = " ".join(words).replace(" per ", "/").replace(" / ", "/")
    parts = [known for part in phrase.split("/") if (known := _singular(part))]
    if len(parts) == phrase.count("/") + 1:
        unit = "/".join(parts)
    else:
        unit = _CANONICAL.get(phrase) or f"?{phrase.lower().removesuffix('s')}"
    return f"{unit}^{power}" if power else unit


def _singular(name: str) -> str | None:
    for form in (name, name.lower(), name.lower().removesuffix("s")):
        if form in _CANONICAL and (len(name) > 2 or form == name):
            return _CANONICAL[form]
    return None
