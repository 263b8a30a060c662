import re

#: White space, but for the spaces that do not break: French has them before a colon.
_BREAKING_SPACES = re.compile(r"[^\S\xa0\u202f]+")


def one_line(text):
    r"""Put a text on one line: a subject with a line break would be two headers.

    >>> one_line("Your invoices\r\nBcc: everybody@example.com ")
    'Your invoices Bcc: everybody@example.com'
    >>> one_line("Facture\xa0: 12")
    'Facture\xa0: 12'
    """
    return _BREAKING_SPACES.sub(" ", text).strip()
