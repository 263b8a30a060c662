import re
from datetime import timedelta

from lxml import html

from odoo.fields import Date
from odoo.http import Request
from odoo.tests import HttpCase, tagged
from odoo.tools import mute_logger
from odoo.tools.misc import hash_sign

from ..controllers.answer import FILE_SIZE
from ..models.answer_link import ANSWER_DAYS, SCOPE
from ..models.dunning_answer import ANSWERS_A_DAY, HOLDS, PROMISE_DAYS
from .common import DunningCommon, to_date

PDF = b"%PDF-1.4\n%proof of payment\n"


@tagged("post_install", "-at_install")
class TestAnswers(HttpCase, DunningCommon):
    """A customer answers a reminder by a click, without a login."""

    def registry_enter_test_mode(self, **_kwargs):
        """`HttpCase` did so for the whole class."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.accountant = cls._create_user("accountant", "account.group_account_invoice")
        cls.sequence = cls._create_default((7,), (14,), (30,))
        cls.sequence.user_id = cls.accountant
        cls.sequence.grouping = "customer"
        cls.mail_server.from_filter = "test.example.com, example.com"

    def setUp(self):
        super().setUp()
        self.travel("03-02")
        self.invoice = self._create_invoice_due("03-01", 100)
        self.other = self._create_invoice_due("03-01", 50)
        self.run_on("03-08")
        self.reminder = self.get_last_reminder(self.invoice)
        self.env.flush_all()

    def get_link(self, kind="paid"):
        """The link as the customer finds it in his mail."""
        mails = [mail for mail in self.sink.mails if "/dunning/answer/" in mail.html]
        tree = html.fromstring(mails[-1].html)
        (link,) = tree.xpath(f"//a[contains(@href, '?kind={kind}')]/@href")
        return re.sub(r"^https?://[^/]+", "", link)

    def open(self, link=None):
        response = self.url_open(link or self.get_link())
        return response, html.fromstring(response.text)

    def say(self, kind, files=(), link=None, **values):
        """Send the form of an answer, as a browser does."""
        link = link or self.get_link(kind)
        self.authenticate(None, None)
        data = {
            "kind": kind,
            "csrf_token": Request.csrf_token(self),
            "move": (self.invoice + self.other).ids,
            **values,
        }
        files = [("file", file) for file in files]
        response = self.url_open(link.partition("?")[0], data=data, files=files)
        self.env.invalidate_all()
        return response, html.fromstring(response.text)

    def get_alert(self, tree):
        return " ".join(
            text.strip()
            for node in tree.xpath("//*[@role='alert' or @role='status']")
            for text in node.itertext()
            if text.strip()
        )

    def get_activities(self):
        moves = self.invoice + self.other
        return moves.activity_ids.filtered(lambda a: a.user_id == self.accountant)

    def test_to_open_the_link_says_nothing(self):
        """Programs that look for viruses open each link, also with HEAD."""
        for kind in ("paid", "promise", "problem", "address"):
            link = self.get_link(kind)
            self.opener.head(self.base_url() + link)
            response, tree = self.open(link)
            self.assertEqual(response.status_code, 200)
            self.assertEqual(response.headers["Referrer-Policy"], "no-referrer")
            self.assertEqual(response.headers["Cache-Control"], "no-store")
            (shown,) = tree.xpath("//details[@open]//input[@name='kind']/@value")
            self.assertEqual(shown, kind)
            self.assertEqual(len(tree.xpath("//textarea")), 4)
        self.assertIn(self.invoice.name, response.text)
        self.assertIn(self.other.name, response.text)
        self.assertFalse(self.reminder.answer_ids)
        self.assertFalse(self.invoice.dunning_hold_ids)

    def test_a_promise_holds_and_resumes_when_it_is_broken(self):
        _response, tree = self.say(
            "promise", date="2026-03-20", note="On <b>Friday</b>"
        )
        self.assertIn("Thank you", self.get_alert(tree))
        (hold,) = self.invoice.dunning_hold_ids
        self.assertEqual(
            (hold.kind, hold.until), ("promise", Date.to_date("2026-03-20"))
        )
        self.assertEqual((hold.move_ids, hold.amount), (self.invoice + self.other, 150))
        self.assertEqual(self.reminder.answer, "promise")
        for invoice in self.invoice + self.other:
            note = invoice.message_ids[0]
            self.assertIn("Says: will pay on", note.body)
            self.assertIn("On &lt;b&gt;Friday", note.body)
            self.assertTrue(note.subtype_id.internal)
        self.assertIn("Says: will pay on", self.get_activities().summary)
        self.run_on("03-15", "03-23")
        self.assertReminders(self.invoice, "03-08 S1")
        self.run_on("03-24")
        self.assertEqual(hold.outcome, "broken")
        self.assertReminders(self.invoice, "03-08 S1", "03-24 S2")

    def test_a_payment_that_we_do_not_know_of_holds_a_week(self):
        proof = ("proof.html", PDF, "application/pdf")
        self.say("paid", [proof], date="2026-03-05", reference="RF18", note="")
        (hold,) = self.invoice.dunning_hold_ids
        self.assertEqual((hold.kind, hold.until), ("reply", Date.to_date("2026-03-15")))
        self.assertIn("RF18", hold.reason)
        file = self.invoice.message_ids[0].attachment_ids
        self.assertEqual((file.name, file.raw), ("proof.pdf", PDF))
        self.assertEqual(file.mimetype, "application/pdf")
        self.assertFalse(self.other.message_ids[0].attachment_ids)
        self.run_on("03-15")
        self.assertReminders(self.invoice, "03-08 S1")
        self.run_on("03-16")
        self.assertReminders(self.invoice, "03-08 S1", "03-16 S2")

    def test_a_problem_with_one_of_two_lets_the_other_go_on(self):
        self.say("problem", move=self.invoice.id, reason="defective", note="Broken")
        (hold,) = self.invoice.dunning_hold_ids
        self.assertEqual(
            (hold.kind, hold.until, hold.amount), ("dispute", to_date("04-07"), 100)
        )
        self.assertIn("Not as ordered", hold.reason)
        self.assertFalse(self.other.dunning_hold_ids)
        self.run_on("03-15")
        self.assertReminders(self.invoice, "03-08 S1")
        self.assertReminders(self.other, "03-08 S1", "03-15 S2")

    def test_a_part_of_the_amount_is_not_right(self):
        """As the customer writes numbers; no more than is open, of what he chose."""
        self.env["res.lang"]._activate_lang("de_DE")
        self.reminder.sudo().lang = "de_DE"
        self.env.flush_all()
        for text, expected in (
            ("1.234", "at most that amount"),
            ("100,01", "at most that amount"),
            ("12,3,4", "is not an amount"),
            ("-5", "is not an amount"),
        ):
            _response, tree = self.say(
                "problem", move=self.invoice.id, reason="amount", amount=text
            )
            self.assertIn(expected, self.get_alert(tree))
        self.assertFalse(self.invoice.dunning_hold_ids)
        for _time in range(2):
            _response, tree = self.say(
                "problem", move=self.invoice.id, reason="amount", amount="40,50 $"
            )
            self.assertIn("Thank you", self.get_alert(tree))
        (hold,) = self.invoice.dunning_hold_ids
        self.assertEqual((hold.kind, hold.amount), ("dispute", 40.5))
        self.assertIn("40.50", hold.reason)
        self.assertEqual(self.invoice.dunning_disputed_amount, 40.5)
        self.assertIn("40.50 of it", self.get_activities().summary)

    def test_a_payment_plan_is_proposed_and_agreed_on(self):
        """The amounts add up; nothing is promised before somebody agrees."""
        _response, tree = self.open()
        self.assertFalse(tree.xpath("//input[@name='kind'][@value='plan']"))
        self.say("plan", link=self.get_link(), payments=3, date="2026-03-20")
        self.assertFalse(self.reminder.answer_ids, "not offered")

        self.sequence.plan_payments = 4
        self.env.flush_all()
        plan = {"payments": "3", "date": "2026-03-31", "rhythm": "month"}
        for expected, changed in (
            ("between 2 and 4", {"payments": "5"}),
            ("between 2 and 4", {"payments": "1"}),
            ("between 2 and 4", {"payments": "-3"}),
            ("between 2 and 4", {"payments": "many"}),
            ("how often", {"rhythm": "never"}),
            ("On which day", {"date": ""}),
            ("Choose a day between", {"date": "2027-03-31"}),
            ("Choose the invoices", {"move": ""}),
        ):
            values = {**plan, **changed}
            _response, tree = self.say("plan", link=self.get_link(), **values)
            self.assertIn(expected, self.get_alert(tree))
        self.assertFalse(self.invoice.dunning_hold_ids)
        _response, tree = self.say("plan", link=self.get_link(), **plan)
        said = self.get_alert(tree)
        for text in ("03/31/2026 $ 50.00", "04/30/2026 $ 50.00", "05/31/2026 $ 50.00"):
            self.assertIn(text, said.replace("\xa0", " "))
        answer = self.reminder.answer_ids
        self.assertEqual((answer.kind, answer.hold_id.kind), ("plan", "reply"))
        self.assertEqual(answer.hold_id.until, to_date("03-15"))
        self.assertIn("Proposes 3 payments", self.get_activities().summary)

        # Whoever opens the dialog on the invoices finds it filled in.
        invoices = (self.invoice + self.other).with_user(self.accountant)
        filled = invoices.action_dunning_plan()["context"]
        self.assertEqual(filled["default_payments"], 3)
        self.assertEqual(filled["default_first_date"], to_date("03-31"))
        nobody = self._create_user("nobody")
        hidden = invoices.with_user(nobody).action_dunning_plan()["context"]
        self.assertNotIn("default_payments", hidden)

        # Paid in part meanwhile, the rest is divided; the last payment takes the cent.
        self.pay(self.other)
        self.env.flush_all()
        action = answer.with_user(self.accountant).action_open_plan()
        dialog = self.env["dunning.plan"].with_user(self.accountant)
        dialog = dialog.with_context(**action["context"]).create({})
        self.assertEqual(dialog.move_ids, self.invoice)
        self.assertEqual(dialog.line_ids.mapped("amount"), [33.33, 33.33, 33.34])
        dialog.action_confirm()
        self.assertEqual(answer.hold_id.move_ids, self.other)
        kept = self.invoice.dunning_hold_ids.filtered(lambda h: not h.closed_on)
        self.assertEqual(set(kept.mapped("kind")), {"promise"})
        self.assertEqual(len(kept), 3)
        again = invoices[0].action_dunning_plan()["context"]
        self.assertNotIn("default_payments", again, "it was agreed on")

    def test_a_plan_is_proposed_in_his_language_and_of_one_currency(self):
        """Twice of an invoice: who proposes again and again is to be spoken to."""
        self.env["res.lang"]._activate_lang("de_DE")
        euro = self.setup_other_currency("EUR", rates=[("2020-01-01", 2.0)])
        self.customer.lang = "de_DE"
        self.sequence.plan_payments = 4
        abroad = self._create_invoice_due("03-08", 1000, currency_id=euro)
        self.run_on("03-15")
        plan = {"payments": "3", "date": "2026-04-01", "rhythm": "fortnight"}
        moves = (self.invoice + self.other + abroad).ids
        _response, tree = self.say("plan", move=moves, **plan)
        self.assertIn("one currency at a time", self.get_alert(tree))
        _response, tree = self.say("plan", move=abroad.id, **plan)
        said = self.get_alert(tree).replace("\xa0", " ")
        for text in ("01.04.2026 333,33 €", "15.04.2026 333,33 €", "333,34 €"):
            self.assertIn(text, said)
        self.say("plan", move=abroad.id, **{**plan, "payments": "2"})
        _response, tree = self.say("plan", move=abroad.id, **{**plan, "payments": "4"})
        self.assertIn("You have proposed payments", self.get_alert(tree))
        self.assertEqual(self.get_last_reminder(abroad).answer_ids[0].payments, 2)

    def test_another_address_is_for_a_person_to_check(self):
        self.say("address", email="Boss <boss@customer.example.com>")
        answer = self.reminder.answer_ids
        self.assertEqual(answer.email, "boss@customer.example.com")
        self.assertEqual(answer.hold_id.kind, "reply")
        self.assertIn("boss@customer.example.com", self.get_activities().summary)
        self.assertNotIn("boss", self.customer.email)

    def test_the_last_word_counts(self):
        self.say("promise", date="2026-03-20")
        self.say("problem", move=self.invoice.id, reason="amount")
        holds = self.invoice.dunning_hold_ids
        self.assertEqual(holds.filtered(lambda h: not h.closed_on).kind, "dispute")
        self.assertEqual(
            self.other.dunning_hold_ids.filtered(lambda h: not h.closed_on).kind,
            "promise",
        )

    def test_settled_meanwhile_there_is_nothing_to_answer(self):
        self.pay(self.invoice + self.other)
        self.env.flush_all()
        _response, tree = self.open()
        self.assertIn("Everything is settled", self.get_alert(tree))
        self.assertFalse(tree.xpath("//form"))
        _response, tree = self.say("promise", date="2026-03-20")
        self.assertFalse(self.reminder.answer_ids)

    def test_what_a_customer_cannot_say_is_told_and_changes_nothing(self):
        late = Date.to_string(self.today() + timedelta(days=PROMISE_DAYS + 1))
        large = ("x.pdf", PDF + b"x" * FILE_SIZE, "application/pdf")
        page = ("x.pdf", b"<script>alert(1)</script>", "application/pdf")
        for expected, kind, values in (
            ("On which day will you pay?", "promise", {}),
            ("Choose a day between", "promise", {"date": "2026-03-07"}),
            ("Choose a day between", "promise", {"date": late}),
            ("is not a day", "promise", {"date": "tomorrow"}),
            ("On which day did you pay?", "paid", {}),
            ("Choose a day", "paid", {"date": "2026-03-09"}),
            ("Choose a day", "paid", {"date": "0001-01-01"}),
            ("is not a day", "paid", {"date": "2026-03-05junk"}),
            ("Choose the invoices", "paid", {"date": "2026-03-07", "move": "1" * 5000}),
            ("what the problem is", "problem", {"reason": "mine"}),
            ("in a few words", "problem", {"reason": "other", "note": " "}),
            ("e-mail address", "address", {"email": "nobody"}),
            ("e-mail address", "address", {"email": "a@b.example, c@d.example"}),
            ("Choose the invoices", "paid", {"date": "2026-03-07", "move": "9999999"}),
            ("too long", "paid", {"date": "2026-03-07", "note": "x" * 2001}),
            ("too long", "paid", {"date": "2026-03-07", "reference": "x" * 141}),
            ("PDF or pictures", "paid", {"date": "2026-03-07", "files": [large]}),
            ("PDF or pictures", "paid", {"date": "2026-03-07", "files": [page]}),
        ):
            with self.subTest(f"{kind} {values if 'files' not in values else ''}"):
                _response, tree = self.say(kind, **values)
                self.assertIn(expected, self.get_alert(tree))
        self.assertFalse(self.reminder.answer_ids)
        self.assertFalse((self.invoice + self.other).dunning_hold_ids)

    def test_an_invoice_is_promised_twice_and_no_more(self):
        for day in ("2026-03-10", "2026-03-12"):
            self.say("promise", date=day)
        _response, tree = self.say("promise", date="2026-03-14")
        self.assertIn("have promised a day", self.get_alert(tree))
        self.assertEqual(len(self.reminder.answer_ids), 2)

    def test_nobody_answers_all_day(self):
        for number in range(ANSWERS_A_DAY):
            self.say("paid", date=f"2026-03-0{number + 2}")
        _response, tree = self.say("paid", date="2026-03-07")
        self.assertIn("several times", self.get_alert(tree))
        self.assertEqual(len(self.reminder.answer_ids), ANSWERS_A_DAY)
        held = self.reminder.answer_ids.filtered("hold_id")
        self.assertEqual(len(held), HOLDS, "more than that holds nothing")

    def test_the_page_says_whether_reminders_wait(self):
        """Who has said too much is heard, but reminded all the same."""
        for number in range(HOLDS + 1):
            _response, tree = self.say("paid", date=f"2026-03-0{number + 2}")
            text = self.get_alert(tree)
            self.assertIn("We look for your payment.", text)
            self.assertEqual("no reminder meanwhile" in text, number < HOLDS)
        self.assertIn("Reminders go on until it is settled.", text)
        _response, tree = self.open()
        self.assertIn("You told us on 03/08/2026: Already paid", self.get_alert(tree))

    def test_tapped_twice_is_said_once(self):
        for _time in range(2):
            _response, tree = self.say("promise", date="2026-03-20")
            self.assertIn("Thank you", self.get_alert(tree))
        self.assertEqual(len(self.reminder.answer_ids), 1)
        self.assertEqual(len(self.invoice.dunning_hold_ids), 1)
        _response, tree = self.open()
        self.assertIn("Will pay", self.get_alert(tree), "who comes back sees it")

    def test_a_problem_is_over_when_we_say_so(self):
        self.say("problem", reason="amount")
        self.say("address", email="boss@customer.example.com")
        holds = self.invoice.dunning_hold_ids.filtered(lambda h: not h.closed_on)
        self.assertIn("dispute", holds.mapped("kind"))
        self.run_on("03-15", "03-23")
        self.assertReminders(self.invoice, "03-08 S1")

    def test_no_longer_reminded_does_not_mean_settled(self):
        self.invoice.dunning_policy = "none"
        self.other.button_draft()
        self.env.flush_all()
        response, tree = self.open()
        self.assertNotIn("Settled", response.text)
        self.assertNotIn(self.other.name, response.text.split("<ul")[1])
        self.assertTrue(tree.xpath("//form"))

    def test_switched_off_old_links_do_not_work_either(self):
        link = self.get_link()
        self.sequence.answer_links = False
        self.env.flush_all()
        response, _tree = self.open(link)
        self.assertEqual(response.status_code, 404)

    def test_a_link_opens_its_reminder_and_nothing_else(self):
        """Forged, of another kind, for nothing, too old, without the form's token."""
        token = self.get_link().split("/")[-1].partition("?")[0]
        swapped = token[:-2] + ("AA" if token[-2:] != "AA" else "BB")
        secret = self.root["dunning.reminder"].env
        for name, link in {
            "forged": swapped,
            "nonsense": "x",
            "number": str(self.reminder.id),
            "another purpose": hash_sign(secret, "other", self.reminder.id),
            "nothing": hash_sign(secret, SCOPE, 0),
            "no number": hash_sign(secret, SCOPE, "x"),
        }.items():
            with self.subTest(name):
                response, _tree = self.open(f"/dunning/answer/{link}")
                self.assertEqual(response.status_code, 404)
                self.assertNotIn(self.invoice.name, response.text)
                self.assertNotIn(self.customer.name, response.text)
        stranger = self._create_invoice_due(
            "03-01", customer=self._create_customer("B")
        )
        self.env.flush_all()
        response, _tree = self.open()
        self.assertNotIn(stranger.name, response.text)
        self.say("problem", move=stranger.id, reason="amount")
        self.assertFalse(stranger.dunning_hold_ids)
        with mute_logger("odoo.http"):
            self.say("paid", date="2026-03-07", csrf_token="forged")
        self.assertFalse(self.reminder.answer_ids)
        link = self.get_link()
        self.travel(self.today() + timedelta(days=ANSWER_DAYS + 1))
        response, _tree = self.open(link)
        self.assertEqual(response.status_code, 404)

    def test_the_links_are_in_the_mail_only(self):
        """Whoever reads the thread cannot answer for the customer."""
        self.assertNotIn("/dunning/answer/", self.reminder.body)
        self.assertNotIn("/dunning/answer/", self.reminder.mail_message_id.body)
        self.sequence.answer_links = False
        self.run_on("03-15")
        self.assertNotIn("/dunning/answer/", self.sink.mails[-1].html)

    def test_page_and_answer_are_in_the_language_of_their_readers(self):
        self.env["res.lang"]._activate_lang("fr_FR")
        self.customer.lang = "fr_FR"
        self.run_on("03-15")
        self.env.flush_all()
        self.assertTrue(any("J’ai payé" in mail.html for mail in self.sink.mails))
        response, tree = self.open(self.get_link("promise"))
        self.assertEqual(tree.get("lang"), "fr-FR")
        self.assertIn("Je paierai le", response.text)
        _response, tree = self.say("promise", date="2026-03-20")
        self.assertIn("Merci", self.get_alert(tree))
        self.assertIn("Says: will pay on", self.invoice.dunning_hold_ids.reason)
