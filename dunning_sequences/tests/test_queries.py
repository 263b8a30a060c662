from contextlib import contextmanager
from unittest.mock import patch

from lxml import etree

from odoo.tests import tagged

from .common import DunningCommon

FEW, MANY = 2, 12


@tagged("post_install", "-at_install")
class TestQueries(DunningCommon):
    """What it costs: a number of queries that does not grow with the invoices."""

    @contextmanager
    def count(self, counts):
        """Append the number of queries of the block to a list."""
        self.commit()
        self.env.invalidate_all()
        before = self.env.cr.sql_log_count
        yield
        self.env.flush_all()
        counts.append(self.env.cr.sql_log_count - before)

    def _create_invoices(self, count, customers=None):
        """Create invoices in one go: one by one takes long."""
        customers = customers or [self.customer] * count
        invoices = self.env["account.move"]
        for customer in customers:
            invoices += self._create_invoice_due("03-01", customer=customer, post=False)
        invoices.action_post()
        return invoices

    def assertDoesNotGrow(self, few, many, per_invoice=0.0):
        """:param per_invoice: what is allowed"""
        allowed = few + per_invoice * (MANY - FEW) + 3
        self.assertLessEqual(many, allowed, f"{FEW}: {few} queries, {MANY}: {many}")

    def test_reconcile(self):
        self._create_default((7,))
        counts = []
        for number in (FEW, FEW, MANY):  # the first time fills Odoo's caches
            invoices = self._create_invoices(number)
            with self.count(counts):
                self.Enrollment._reconcile(invoices, self.today())
        self.assertDoesNotGrow(*counts[1:])
        # Nothing has changed: nothing is written.
        with self.count(counts):
            self.Enrollment._reconcile(invoices, self.today())
        self.assertLessEqual(counts[-1], counts[1])

    def test_promises(self):
        """Of all that are open each is judged every day."""
        self._create_default((7,))
        counts = []
        for number in (FEW, FEW, MANY):
            invoices = self._create_invoices(number)
            self.env["dunning.hold"].create(
                [
                    {
                        "kind": "promise",
                        "move_ids": [(6, 0, invoice.ids)],
                        "until": "2026-04-01",
                        "amount": 50,
                    }
                    for invoice in invoices
                ]
                + [
                    {
                        "kind": "promise",
                        "partner_id": invoice.partner_id.id,
                        "until": "2026-04-01",
                        "amount": 50,
                    }
                    for invoice in invoices
                ]
            )
            with self.count(counts):
                self.env["dunning.hold"]._close_promises(self.company, self.today())
        self.assertDoesNotGrow(*counts[1:])

    def test_full_reconcile(self):
        """Whatever the number of invoices, a chunk of them takes as many queries."""
        self._create_default((7,))
        self._create_invoices(FEW)
        counts = []
        for number in (0, 0, MANY):
            if number:
                self._create_invoices(number)
            self.drain()
            with self.count(counts):
                self.Enrollment._reconcile_company(self.company, self.today())
        self.assertEqual(counts[1], counts[2], "queries for few and for many")

    def test_reconcile_of_due_instalments(self):
        """The guard asks about recipients, amounts and contacts, in bulk."""
        self._create_default((7,), min_amount=1, min_contact_days=3)
        counts = []
        for number in (FEW, FEW, MANY):
            customers = [self._create_customer(f"C{i}") for i in range(number)]
            self.travel("03-01")
            invoices = self._create_invoices(number, customers)
            self.travel("03-08")
            with self.count(counts):
                self.Enrollment._reconcile(invoices, self.today())
        self.assertEqual(
            set(invoices.dunning_enrollment_ids.mapped("state")), {"running"}
        )
        self.assertDoesNotGrow(*counts[1:])

    def test_status_and_next_date(self):
        self._create_default((7,))
        counts = []
        for number in (FEW, FEW, MANY):
            invoices = self._create_invoices(number)
            self.drain()
            with self.count(counts):
                invoices.read(
                    ["dunning_status", "dunning_next_date", "dunning_explanation"]
                )
        self.assertDoesNotGrow(*counts[1:])

    def _get_batches(self, one_customer=False):
        """Yield batches of invoices of which only one is reminded at a time."""
        batches = []
        for batch, number in enumerate((FEW, FEW, MANY)):
            names = [f"C{batch}-{0 if one_customer else i}" for i in range(number)]
            customers = {name: self._create_customer(name) for name in set(names)}
            batches.append(
                self._create_invoices(number, [customers[name] for name in names])
            )
        self.env["account.move"].union(*batches).dunning_policy = "none"
        self.travel("03-08")
        for batch in batches:
            batch.dunning_policy = False
            self.drain()
            yield batch

    def _compose_due(self):
        """Compose, without the day's reconcile: which invoices that sees varies."""
        Enrollment = self.root["dunning.enrollment"]
        company, today = self.company.with_env(self.root), self.today()
        reminders = self.root["dunning.reminder"]
        for partner_ids in Enrollment._get_due_chunks(company, today):
            reminders += Enrollment._run_chunk(company, today, partner_ids, None)
        return reminders.with_env(self.env)

    def test_composing_one_mail_for_many_invoices(self):
        self._create_default((7,))
        counts = []
        for batch in self._get_batches(one_customer=True):
            with self.count(counts):
                reminder = self._compose_due()
            self.assertEqual(reminder.move_ids, batch)
        self.assertEqual(counts[1], counts[2], "queries for few and for many")

    def test_composing_for_many_customers(self):
        """No query for a single reminder: a chunk of them takes as many as a few."""
        self._create_default((7,))
        self.assertComposingDoesNotGrow()

    def test_composing_from_a_template_for_many_customers(self):
        """With all that a table can show: claims for paying late, what is due soon."""
        self.company.country_id = self.env.ref("base.fr")
        self.env.ref("base.EUR").active = True
        template = self.env.ref("dunning_sequences.mail_template_dunning_first")
        self._create_default(
            {"delay": 7, "content": "template", "template_id": template.id},
            claim_policy="legal",
            coming_days=7,
        )
        self.assertComposingDoesNotGrow(coming="03-12")

    def assertComposingDoesNotGrow(self, coming=None):
        """
        :param coming: each customer has another invoice that is due on this day
        """
        counts = []
        for batch in self._get_batches():
            for customer in batch.partner_id if coming else ():
                self._create_invoice_due(coming, customer=customer)
            self.drain()
            with self.count(counts):
                reminders = self._compose_due()
            self.assertEqual(len(reminders), len(batch))
            self.assertEqual(bool(reminders.coming_ids), bool(coming))
        self.assertEqual(counts[1], counts[2], "queries for few and for many")

    def test_delivery(self):
        """Each mail is a transaction: what it costs must at least stay bounded."""
        self._create_default((7,))
        counts = []
        for _batch in self._get_batches():
            self.compose_day()
            with self.count(counts):
                self.deliver()
        self.assertEqual(len(self.sink.mails), FEW + FEW + MANY)
        self.assertDoesNotGrow(*counts[1:], per_invoice=22)

    def _count_with_and_without(self, prepare, act):
        """Return (queries with our marks, queries without)."""
        counts = []
        for marks in (True, False, True, False):
            record = prepare()
            with self.count(counts):
                if marks:
                    act(record)
                    self.commit()
                else:
                    with patch.object(
                        type(self.env["dunning.mark"]), "_mark", lambda *args: None
                    ):
                        act(record)
                        self.commit()
        return counts[2:]

    def test_posting_costs_a_few_queries_more(self):
        self._create_default((7,))
        ours, odoos = self._count_with_and_without(
            lambda: self._create_invoice_due("03-01", post=False),
            lambda invoice: invoice.action_post(),
        )
        self.assertLessEqual(ours - odoos, 6)
        self.assertGreater(ours, odoos, "the marks were written")

    def test_creating_contacts_asks_for_nothing_of_ours(self):
        """Not even for the company's clock: visitors of a web shop create them."""
        with patch.object(
            type(self.company), "_dunning_now", side_effect=AssertionError
        ):
            contacts = self.env["res.partner"].create([{"name": "A"}, {"name": "B"}])
            contacts.write({"email": "ab@customer.example.com"})
        self.assertFalse(any(contacts.mapped("dunning_since")))

    def test_paying_costs_a_few_queries_more(self):
        self._create_default((7,))
        ours, odoos = self._count_with_and_without(
            lambda: self._create_invoice_due("03-01"), self.pay
        )
        self.assertLessEqual(ours - odoos, 6)
        self.assertGreater(ours, odoos, "the marks were written")

    def test_posting_many_costs_no_more_than_posting_one(self):
        self._create_default((7,))
        extra = []
        for number in (1, 10):
            ours, odoos = self._count_with_and_without(
                lambda number=number: self.env["account.move"].union(
                    *(
                        self._create_invoice_due("03-01", post=False)
                        for _i in range(number)
                    )
                ),
                lambda invoices: invoices.action_post(),
            )
            extra.append(ours - odoos)
        self.assertLessEqual(extra[1], extra[0] + 1)

    def test_paying_many_costs_no_more_than_paying_one(self):
        self._create_default((7,))
        extra = []
        for number in (1, 10):
            ours, odoos = self._count_with_and_without(
                lambda number=number: self._create_invoices(number), self.pay
            )
            extra.append(ours - odoos)
        self.assertLessEqual(extra[1], extra[0] + 1)

    # ------------------------------------------------------------------------
    # BY HAND: what a person does with many at once
    # ------------------------------------------------------------------------

    def _count_by_hand(self, act, mode="auto"):
        """Count the queries of an act upon a batch of due invoices.

        :param act: gets the invoices and their reminders
        """
        self._create_default({"delay": 7, "mode": mode}, (14,))
        counts = []
        for batch in self._get_batches():
            reminders = self.compose_day()
            with self.count(counts):
                act(batch, reminders)
        return counts[1:]

    def test_approving(self):
        """Each is asked again under lock, and written anew when something changed."""
        counts = self._count_by_hand(
            lambda _invoices, reminders: reminders.action_approve(), mode="approval"
        )
        self.assertDoesNotGrow(*counts, per_invoice=8)

    def test_skipping_what_waits_for_approval(self):
        counts = self._count_by_hand(
            lambda _invoices, reminders: reminders.action_skip(), mode="approval"
        )
        self.assertDoesNotGrow(*counts, per_invoice=1)

    def test_recording(self):
        counts = self._count_by_hand(
            lambda invoices, _reminders: (
                invoices.dunning_enrollment_ids.action_record()
            ),
            mode="manual",
        )
        self.assertDoesNotGrow(*counts, per_invoice=1)

    def test_skipping(self):
        counts = self._count_by_hand(
            lambda invoices, _reminders: invoices.dunning_enrollment_ids.action_skip()
        )
        self.assertDoesNotGrow(*counts, per_invoice=1)

    def test_reminding_by_hand(self):
        counts = self._count_by_hand(
            lambda invoices, _reminders: invoices.action_dunning_remind(), mode="manual"
        )
        self.assertDoesNotGrow(*counts, per_invoice=6)

    def test_cancelling(self):
        counts = self._count_by_hand(
            lambda _invoices, reminders: reminders.action_cancel()
        )
        self.assertDoesNotGrow(*counts, per_invoice=1)

    def test_pausing_and_resuming(self):
        def act(invoices, _reminders):
            self.env["dunning.hold"].create(
                {"move_ids": invoices.ids, "company_id": self.company.id}
            )
            invoices.action_dunning_resume()

        self.assertDoesNotGrow(*self._count_by_hand(act))

    def test_retrying(self):
        self._create_default((7,), (14,))
        counts = []
        for _batch in self._get_batches():
            reminders = self.compose_day()
            reminders.sudo()._fail("Refused")
            with self.count(counts):
                reminders.action_retry()
        self.assertDoesNotGrow(*counts[1:], per_invoice=6)

    def test_opening_lists(self):
        """Every column of each list, whatever its number of rows."""
        self._create_default((7,), (14,))
        invoices = self._create_invoices(
            MANY, [self._create_customer(f"C{i}") for i in range(MANY)]
        )
        self.run_day("03-08")
        self.env["dunning.hold"].create({"move_ids": invoices.ids})
        for model in (
            "dunning.enrollment",
            "dunning.reminder",
            "dunning.reminder.line",
            "dunning.hold",
            "dunning.sequence",
            "account.move",
            "res.partner",
        ):
            with self.subTest(model):
                self._assert_list_does_not_grow(model)

    def test_opening_an_invoice_costs_hardly_more(self):
        """What its tab lists is read when somebody opens the tab."""
        self._create_default((7,), (14,))
        invoice = self._create_invoices(1)
        self.run_day("03-08")
        arch = invoice.get_view(self.env.ref("account.view_move_form").id, "form")
        names = etree.fromstring(arch["arch"]).xpath(
            "//field[not(ancestor::field)]/@name"
        )
        every = {
            name: {"fields": {"display_name": {}}}
            if invoice._fields[name].relational
            else {}
            for name in names
        }
        odoos = {
            name: inner
            for name, inner in every.items()
            if not name.startswith("dunning_")
        }
        counts = []
        for specification in (every, odoos, every, odoos):
            with self.count(counts):
                invoice.web_read(specification)
        self.assertIn("dunning_policy", every)
        self.assertLessEqual(counts[2] - counts[3], 2)

    def _assert_list_does_not_grow(self, model):
        Model = self.env[model]
        arch = Model.get_view(view_type="list")["arch"]
        specification = {
            node.get("name"): {"fields": {"display_name": {}}}
            if Model._fields[node.get("name")].relational
            else {}
            for node in etree.fromstring(arch).iterfind("./field")
        }
        domain = [("move_type", "=", "out_invoice")] if model == "account.move" else []
        counts = []
        for limit in (FEW, FEW, MANY):
            with self.count(counts):
                Model.web_search_read(domain, specification, limit=limit)
        self.assertDoesNotGrow(*counts[1:])
