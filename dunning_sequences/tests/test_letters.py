"""Letters on paper: the page, and what becomes of it."""

from lxml import html

from ..models.letter_page import WINDOWS
from .common import DunningCommon

REPORT = "dunning_sequences.action_report_dunning_letter"


class LetterCommon(DunningCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.customer.write({"street": "Main Street 1", "zip": "1000", "city": "Town"})
        cls.step = {"delay": 7, "channel": "letter"}


class TestPage(LetterCommon):
    """The address behind the window, the text, the deadline, the notice."""

    def _render(self, letter, report_type="pdf"):
        """Return the page as it is given to the program that makes the PDF."""
        page, _kind = self.env["ir.actions.report"]._render_qweb_html(
            REPORT, letter.ids, data={"report_type": report_type}
        )
        return html.fromstring(page)

    def test_deadline_and_notice_stand_below_the_text(self):
        self.env["res.lang"]._activate_lang("fr_FR")
        sequence = self._create_default(self.step, letter_notice="The law says so.")
        sequence.with_context(lang="fr_FR").letter_notice = "La loi le dit."
        self._create_invoice_due("03-01")
        letter = self.run_day("03-08")
        page = self._render(letter).text_content()
        self.assertIn("The law says so.", page)
        self.assertNotIn("Please pay by", page)
        letter.step_id.new_deadline_days = 8
        self.assertIn("Please pay by 03/16/2026.", self._render(letter).text_content())
        letter.sudo().body = "<p>Pay by 03/16/2026, please.</p>"
        page = self._render(letter).text_content()
        self.assertEqual(page.count("03/16/2026"), 1, "said by the text itself")
        letter.sudo().lang = "fr_FR"
        self.assertIn("La loi le dit.", self._render(letter).text_content())

    def test_the_address_lies_behind_the_window(self):
        self._create_default(self.step)
        self._create_invoice_due("03-01")
        letter = self.run_day("03-08")
        company, paper = letter.company_id, letter._get_letter_paper()
        for code, side in (("FR", "right"), ("DE", "left"), ("US", "left")):
            company.country_id = self.env.ref(f"base.{code.lower()}")
            with self.subTest(code):
                self.assertEqual(self._measure(letter, paper), WINDOWS[side][:3])
        company.dunning_letter_window = "right"
        self.assertEqual(self._measure(letter, paper), WINDOWS["right"][:3])
        paper.sudo().write({"margin_left": 10, "margin_top": 40})
        self.assertEqual(self._measure(letter, paper), WINDOWS["right"][:3])
        self.assertIn("Main Street 1", self._render(letter, "html").text_content())

    def _measure(self, letter, paper):
        """Left, top and width in mm on the paper, from what the page says."""
        page = self._render(letter)
        [address] = page.xpath("//div[contains(@style, 'margin-left')]")
        place = dict(part.split(": ") for part in address.get("style").split("; "))
        [above] = address.xpath("preceding-sibling::div/@style")
        shares = (place["margin-left"], above.split(": ")[1], place["width"])
        between = paper.print_page_width - paper.margin_left - paper.margin_right
        left, top, width = (float(share.strip("%")) * between / 100 for share in shares)
        placed = left + paper.margin_left, top + paper.margin_top, width
        return tuple(round(mm, 1) for mm in placed)

    def test_a_long_address_is_printed_smaller(self):
        self._create_default(self.step)
        self._create_invoice_due("03-01")
        letter = self.run_day("03-08")
        usual = letter._get_letter_window()["size"]
        self.customer.write({"street": "A long street " * 9, "street2": "Stairs " * 20})
        self.customer.invalidate_recordset(["display_name"])  # knows no streets
        self.assertLess(letter._get_letter_window()["size"], usual)
