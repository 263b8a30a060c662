import doctest

from odoo.tests import BaseCase, tagged

from ..tools import amount


@tagged("post_install", "-at_install")
class TestAmount(BaseCase):
    """Numbers that somebody types."""

    def test_examples(self):
        failed, tried = doctest.testmod(amount)
        self.assertGreater(tried, 4)
        self.assertFalse(failed)

    def test_written_in_many_ways(self):
        for text, point, separator, expected in (
            ("1\u202f234,50 €", ",", "\u202f", 1234.5),
            ("€40", ".", ",", 40),
            ("1,234,567", ".", ",", 1234567),
            ("1,23", ".", ",", 1.23),
            ("40,", ",", ".", 40),
            ("1'234.50", ".", "’", 1234.5),
        ):
            with self.subTest(text):
                found = amount.parse_amount(text, point, separator)
                self.assertEqual(found, expected)
        for text in ("", "-5", "1e5", "nan", "1.2.3", "१", "1,2345"):
            with self.subTest(text), self.assertRaises(ValueError):
                amount.parse_amount(text, ".", ",")
