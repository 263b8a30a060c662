"""Letters on paper: the page, and what becomes of it."""

from unittest.mock import patch

from lxml import html

from odoo.exceptions import AccessError, UserError

from ..models.letter_page import WINDOWS
from .common import DunningCommon

#: A PNG of one pixel.
PICTURE = (
    b"iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAA"
    b"AABJRU5ErkJggg=="
)

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
        table = "<table><tr><td>03/16/2026</td></tr></table>"
        letter.sudo().body = f"<p>Pay.</p>{table}"
        page = self._render(letter).text_content()
        self.assertIn("Please pay by", page, "that is the day of an invoice")
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


class TestPdf(LetterCommon):
    """Made before it is printed, made anew when something changed, and kept."""

    def setUp(self):
        super().setUp()
        self.made = []  # the pages of which PDFs were made
        self.broken = None  # what a page contains that cannot be made
        cls = self.env.registry["ir.actions.report"]

        def make(report, bodies, **_kwargs):
            [page] = bodies
            if self.broken and self.broken in page:
                raise ValueError("The logo cannot be read.")
            self.made.append(page)
            return b"%%PDF %d" % len(self.made)

        self.startPatcher(patch.object(cls, "_run_wkhtmltopdf", make))
        self._create_default(self.step)
        self.others = [
            self._create_customer(name, **{"city": "Town", "zip": zip_code, **vals})
            for name, zip_code, vals in (
                ("Zoe", "2000", {}),
                ("Adam", "2000", {}),
                ("Abroad", "0001", {"country_id": self.env.ref("base.be").id}),
            )
        ]
        for customer in self.others:
            customer.street = "Side Street 2"

    def _write_letters(self):
        self.invoice = self._create_invoice_due("03-01")
        for customer in self.others:
            self._create_invoice_due("03-01", customer=customer)
        letters = self.run_day("03-08")
        return letters.with_context(force_report_rendering=True)

    def _run_cron(self):
        Reminder = self.root["dunning.reminder"]
        Reminder.with_context(force_report_rendering=True)._cron_letters()
        self.env.invalidate_all()

    def _read(self, letters):
        """Return {customer: PDF} in the order of printing."""
        streams = self.env["ir.actions.report"]._render_qweb_pdf_prepare_streams(
            REPORT, {}, letters.ids
        )
        return {
            letters.browse(letter_id).partner_name: stream["stream"].getvalue()
            for letter_id, stream in streams.items()
        }

    def test_made_ahead_printed_in_the_order_of_the_post_and_kept(self):
        letters = self._write_letters()
        self._run_cron()
        self.assertEqual(len(self.made), 4)
        self.assertEqual(set(letters.mapped("state")), {"to_print"})
        self.assertTrue(all(letters.mapped("letter_pdf")))
        self._run_cron()
        self.assertEqual(len(self.made), 4, "once a day")
        self.travel("03-09")
        self._run_cron()
        self.assertEqual(len(self.made), 8, "each day says another date")
        self.assertEqual(set(map(str, letters.mapped("date"))), {"2026-03-08"})
        self.pay(self.invoice, 40)
        action = letters.action_print()
        self.assertEqual(len(self.made), 9, "what was paid in part is made anew")
        self.assertIn("60.00", self.made[-1])
        self.assertEqual(set(letters.mapped("state")), {"sent"})
        printed = self._read(letters)
        ordered = ["Azure", "Adam", "Zoe", "Abroad"]
        self.assertEqual(list(printed), ordered)
        self.assertEqual(printed["Azure"], b"%PDF 9")
        ids = action["context"]["active_ids"]
        self.assertEqual(letters.browse(ids).mapped("partner_name"), ordered)
        self.customer.street = "Elsewhere 3"
        self.travel("03-20")
        letters.action_print()
        self.assertEqual(self._read(letters), printed, "the same paper again")
        self.assertEqual(len(self.made), 9)
        kept = letters.filtered(lambda letter: letter.partner_name == "Zoe")
        self.assertEqual(kept._read_letter(), printed["Zoe"], "for the collector, too")
        kept.sudo()._erase_texts(kept.company_id, self.today())
        self.assertFalse(kept.letter_pdf)

    def test_one_that_cannot_be_made_stops_no_other(self):
        letters = self._write_letters()
        self.broken = "Zoe"
        self._run_cron()
        self.assertEqual(len(self.made), 3)
        zoe = letters.filtered(lambda letter: letter.partner_name == "Zoe")
        self.assertEqual(zoe.failure_reason, "The logo cannot be read.")
        letters.action_print()
        self.assertEqual(zoe.state, "to_print", "nobody has got it")
        self.assertEqual(set((letters - zoe).mapped("state")), {"sent"})
        self.assertIs(zoe.action_print(), True)
        self.assertTrue(zoe.failure_reason)
        self.broken = None
        self.travel("03-09")
        self._run_cron()
        self.assertFalse(zoe.failure_reason)
        zoe.action_print()
        self.assertEqual((zoe.state, len(self.made)), ("sent", 4))

    def test_what_is_not_printed_leaves_no_pdf(self):
        letters = self._write_letters()
        self._run_cron()
        self.pay(self.invoice)
        self.drain()
        letters[1].action_skip()
        gone = letters.filtered(lambda letter: letter.state != "to_print")
        self.assertEqual(sorted(gone.mapped("state")), ["cancelled", "skipped"])
        self.assertFalse(any(gone.mapped("letter_pdf")))
        self.assertTrue(all((letters - gone).mapped("letter_pdf")))


class TestRegistered(LetterCommon):
    """The number that the post office gave, and what proves that it arrived."""

    def test_numbers_and_proofs_are_entered_for_several_at_once(self):
        self._create_default({**self.step, "registered": True})
        invoice = self._create_invoice_due("03-01")
        other = self._create_customer("Other", street="Way 1", zip="0500", city="Town")
        self._create_invoice_due("03-01", customer=other)
        letters = self.run_day("03-08")
        self.assertTrue(all(letters.mapped("registered")))
        letters.action_print()
        biller = self._create_user("biller", "account.group_account_invoice")
        dialog = self._enter(letters.with_user(biller))
        colleague = self._enter(letters)
        first, second = dialog.line_ids
        self.assertEqual(first.partner_id, other, "in the order of the post")
        second.write({"number": "  1A 234 567 890 1\n", "received_on": "2026-03-11"})
        second.write({"receipt": PICTURE, "receipt_name": "posted.png"})
        before = len(invoice.message_ids)
        with self.assertRaisesRegex(UserError, "cannot have received"):
            dialog.action_confirm()
        self.travel("03-12")
        dialog.action_confirm()
        letter = second.reminder_id.with_env(self.env)
        self.assertEqual(letter.registered_number, "1A 234 567 890 1")
        self.assertEqual(letter.proof_ids.name, "posted.png")
        [line] = invoice.dunning_reminder_line_ids
        self.assertEqual(line.registered_number, letter.registered_number)
        self.assertEqual(len(invoice.message_ids), before + 1)
        note = invoice.message_ids[0]
        self.assertIn("1A 234 567 890 1", note.body)
        self.assertIn("03/11/2026", note.body)
        self.assertEqual(note.author_id, biller.partner_id)
        self.assertFalse(first.reminder_id.registered_number)
        self._enter(letter).action_confirm()
        colleague.action_confirm()
        self.assertEqual(len(invoice.message_ids), before + 1, "nothing new")
        self.assertEqual(letter.registered_number, "1A 234 567 890 1")
        self._check_collection_file(invoice, letter)

    def _enter(self, letters):
        action = letters.action_registered()
        return letters.env[action["res_model"]].browse(action["res_id"])

    def _check_collection_file(self, invoice, letter):
        proofs = dict(letter._get_collection_proofs(None))
        self.assertEqual(proofs["Registered letter"], "1A 234 567 890 1")
        self.assertEqual(proofs["Received on"], "03/11/2026")
        enrollments = invoice.dunning_enrollment_ids
        with patch.object(type(letter), "_read_letter", lambda letter: b"%PDF letter"):
            pdfs, missing = enrollments._read_letters()
            self.assertEqual((len(pdfs), missing), (2, []))
            self.assertTrue(pdfs[1].startswith(b"%PDF"), "the picture, too")
            letter.sudo().proof_ids.raw = b"no picture"
            _pdfs, missing = enrollments._read_letters()
            self.assertEqual(missing, ["posted.png"])
        proof = letter.sudo().proof_ids
        letter.sudo()._erase_texts(letter.company_id, self.today())
        self.assertFalse(proof.exists())

    def test_only_letters_and_only_who_may(self):
        self._create_default((7,))
        self._create_invoice_due("03-01")
        mail = self.run_day("03-08")
        with self.assertRaisesRegex(UserError, "Only letters"):
            mail.action_registered()
        reader = self._create_user("auditor", "account.group_account_readonly")
        with self.assertRaises(AccessError):
            mail.with_user(reader).action_registered()
