from .common import DunningCommon


class TestInformation(DunningCommon):
    """What else is overdue stands in the table of a grouped reminder, and waits."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        table = "<p>{{ amount_due }}</p>{{ invoice_table }}"
        cls.sequence = cls._create_default({"delay": 7, "body": table}, (30,))

    def _get_mail(self, day):
        self.sink.clear()
        self.run_day(day)
        (mail,) = self.sink.mails
        return self.get_text(mail)

    def test_overdue_invoices_at_other_steps_are_shown_and_do_not_advance(self):
        due = self._create_invoice_due("03-01", 100)
        other = self._create_invoice_due("03-05", 40)
        text = self._get_mail("03-08")
        self.assertIn(f"wrote or write separately: {other.name}", text)
        self.assertIn("Overdue in all $ 140.00", text)
        self.assertEqual(self.get_amounts(due), [100])
        self.assertReminders(other)
        self.assertNext(other, "running", "03-12 S1")

    def test_what_is_not_due_yet_is_not_shown(self):
        self._create_invoice_due("03-01", 100)
        coming = self._create_invoice_due("03-08", 40)
        text = self._get_mail("03-08")
        self.assertNotIn(coming.name, text)
        self.assertNotIn("Also overdue", text)

    def test_what_falls_due_soon_stands_apart_if_the_sequence_says_so(self):
        self.sequence.coming_days = 7
        self._create_invoice_due("03-01", 100)
        other = self._create_invoice_due("03-05", 40)
        today = self._create_invoice_due("03-08", 20)
        last = self._create_invoice_due("03-15", 3)
        later = self._create_invoice_due("03-16", 4)
        euro = self.setup_other_currency("EUR", rates=[("2020-01-01", 2.0)])
        abroad = self._create_invoice_due("03-14", 50, currency_id=euro)
        disputed = self._create_invoice_due("03-10", 5)
        self.run_day("03-06")
        disputed.dunning_disputed = True
        text = self._get_mail("03-08")
        self.assertIn("Overdue in all $ 140.00", text)
        before, coming = text.split("Falling due soon, not part of this reminder:")
        self.assertIn(other.name, before)
        self.assertIn(today.name, coming)
        self.assertIn(last.name, coming)
        self.assertIn("Falling due soon, in all $ 23.00, 50.00 €", coming)
        self.assertIn(abroad.name, coming)
        for silent in (later, disputed):
            self.assertNotIn(silent.name, text)
        self.assertNext(last, "running", "03-22 S1")
        self.assertIn("Falling due soon", self.sink.mails[0].text)

    def test_paid_before_it_leaves_it_does_not_fall_due_soon(self):
        self.sequence.coming_days = 7
        self._create_invoice_due("03-01", 100)
        coming = self._create_invoice_due("03-10", 40)
        reminder = self.compose_day("03-08")
        self.assertIn(coming.name, reminder.body)
        self.pay(coming)
        self.deliver()
        (mail,) = self.sink.mails
        self.assertNotIn(coming.name, self.get_text(mail))
        self.assertNotIn("Falling due soon", self.get_text(mail))

    def test_disputed_and_promised_ones_stand_apart_and_are_in_no_sum(self):
        self._create_invoice_due("03-01", 100)
        other = self._create_invoice_due("03-05", 40)
        disputed = self._create_invoice_due("03-04", 7)
        promised = self._create_invoice_due("03-03", 9)
        self.run_day("03-06")
        disputed.dunning_disputed = True
        promised.dunning_promise_date = "2026-04-01"
        text = self._get_mail("03-08")
        self.assertIn("Overdue in all $ 140.00", text)
        _before, apart = text.split("Not part of this reminder")
        self.assertIn(disputed.name, apart)
        self.assertIn(promised.name, apart)
        self.assertNotIn(other.name, apart)

    def test_invoices_that_nobody_follows_are_not_mentioned(self):
        self._create_invoice_due("03-01", 100)
        silent = self._create_invoice_due("03-02", 40)
        silent.dunning_policy = "none"
        blocked = self._create_invoice_due("03-03", 50)
        blocked.line_ids.no_followup = True
        text = self._get_mail("03-08")
        self.assertNotIn(silent.name, text)
        self.assertNotIn(blocked.name, text)

    def test_invoices_with_other_recipients_are_not_shown_to_these(self):
        self._create_invoice_due("03-01", 100)
        secret = self._create_invoice_due("03-05", 40)
        secret.dunning_email_to = "boss@customer.example.com"
        self.assertNotIn(secret.name, self._get_mail("03-08"))

    def test_one_mail_per_invoice_speaks_of_one_invoice(self):
        self.sequence.grouping = "invoice"
        self._create_invoice_due("03-01", 100)
        other = self._create_invoice_due("03-05", 40)
        self.assertNotIn(other.name, self._get_mail("03-08"))

    def test_paid_between_writing_and_leaving_it_is_not_shown(self):
        self._create_invoice_due("03-01", 100)
        other = self._create_invoice_due("03-05", 40)
        self.compose_day("03-08")
        self.pay(other)
        self.drain()
        self.deliver()
        (mail,) = self.sink.mails
        self.assertNotIn(other.name, self.get_text(mail))

    def test_each_currency_has_its_own_total(self):
        self._create_invoice_due("03-01", 100)
        euro = self.setup_other_currency("EUR", rates=[("1900-01-01", 0.5)])
        self._create_invoice_due("03-05", 40, currency_id=euro.id)
        self.assertIn("Overdue in all $ 100.00, 40.00", self._get_mail("03-08"))
