"""Amount: what somebody types, in the way of writing numbers of his language.

>>> parse_amount("1 234,50", ",", " ")
1234.5
>>> parse_amount("$ 1,234.50", ".", ",")
1234.5
>>> parse_amount("12.50", ",", ".")  # a point, but no thousands behind it
12.5
>>> parse_amount("1.234", ",", ".")
1234.0
>>> parse_amount("40 or so", ".", ",")
Traceback (most recent call last):
...
ValueError: 40 or so
"""

import re

#: Signs of currencies, and what separates thousands in some languages.
IGNORED = re.compile(r"[\s\u00a0\u202f'’]|^[^\d\s.,-]{1,3}|[^\d\s.,-]{1,3}$")


def parse_amount(text, decimal_point, thousands_sep):
    """Return the number that a text says.

    :raise ValueError: when it says none, or not for sure
    """
    digits = IGNORED.sub("", text.strip())
    separator = re.escape(thousands_sep.strip() or "\0")
    grouped = rf"\d{{1,3}}(?:{separator}\d{{3}})+|\d+"
    point = re.escape(decimal_point)
    if re.fullmatch(rf"(?:{grouped})(?:{point}\d*)?", digits, re.ASCII):
        plain = digits.replace(thousands_sep.strip() or "\0", "")
        return float(plain.replace(decimal_point, "."))
    # As on a pocket calculator, whatever the language.
    if re.fullmatch(r"\d+[.,]\d{1,2}", digits, re.ASCII):
        return float(digits.replace(",", "."))
    raise ValueError(text)
