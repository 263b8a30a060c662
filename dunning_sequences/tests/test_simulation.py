import os
from datetime import date, timedelta
from unittest.mock import patch

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from psycopg2.errors import CheckViolation

from odoo import Command, fields
from odoo.exceptions import AccessError, UserError
from odoo.tests import Form, new_test_user, tagged
from odoo.tools import mute_logger

from odoo.addons.account.tests.common import AccountTestInvoicingHttpCommon

from .common import START, DunningCommon, to_date, to_text
from .test_properties import World, events

#: More of them when somebody has the time: DUNNING_EXAMPLES=500.
EXAMPLES = int(os.environ.get("DUNNING_EXAMPLES", "0"))


class SimulationCommon(DunningCommon):
    def setUp(self):
        super().setUp()
        self.mail_server.from_filter = False  # Odoo writes to people, too

    def simulate(self, sequence=None, **vals):
        self.commit()
        simulation = self.env["dunning.simulation"].create(
            {"sequence_id": sequence and sequence.id, **vals}
        )
        simulation.action_simulate()
        return simulation

    def get_told(self, simulation):
        """Return what is to come: [("03-08", "S1", invoice, due date)…]."""
        lines = simulation.line_ids.filtered(lambda line: line.outcome == "reminded")
        return sorted(
            (to_text(line.date), line.step_id.name, line.move_id.id, line.due_date)
            for line in lines
        )

    def get_happened(self, since):
        lines = self.env["dunning.reminder.line"].search(
            [("company_id", "=", self.company.id), ("counts", "=", True)]
        )
        return sorted(
            (to_text(line.sent_on), line.step_name, line.move_id.id, line.due_date)
            for line in lines
            if line.sent_on and line.sent_on >= since
        )

    def _decide_all(self):
        """Approve, print and do what waits for somebody."""
        for state in ("to_approve", "to_print", "to_do"):
            for reminder in self.Reminder.search([("state", "=", state)]):
                if state == "to_approve":
                    reminder.action_approve()
                elif state == "to_print":
                    reminder.action_print()
                else:
                    reminder.activity_id.action_done()
        self.deliver()

    def live(self, days):
        """Let today and more days pass as is supposed: people only approve."""
        for number in range(days + 1):
            self.run_day(self.today() + timedelta(days=min(number, 1)))
            self._decide_all()

    def assertComesTrue(self, sequence=None, days=30, start=False, **vals):
        """What is told of the coming days is what they bring.

        :param start: start the sequence after it was simulated
        """
        self.deliver()
        told = self.get_told(self.simulate(sequence, days=days, **vals))
        already, since = self.get_happened(self.today()), self.today()
        if start:
            sequence.action_start()
        self.live(days)
        happened = self.get_happened(since)
        for fact in already:
            happened.remove(fact)
        self.assertEqual(told, happened)
        return told

    def assertTold(self, simulation, *expected):
        """These are to come, and no others: "03-08 S1"…"""
        told = [f"{day} {step}" for day, step, *_ in self.get_told(simulation)]
        self.assertEqual(told, list(expected))

    def assertSilent(self, simulation, invoice, reason, until=None):
        line = simulation.line_ids.filtered(lambda line: line.move_id == invoice)
        self.assertEqual(len(line), 1)
        self.assertEqual((line.outcome, line.date), ("silent", False))
        self.assertEqual((line.reason, to_text(line.until) or None), (reason, until))


@tagged("post_install", "-at_install")
class TestSimulation(SimulationCommon):
    """What is shown is what happens."""

    # ------------------------------------------------------------------------
    # STORIES
    # ------------------------------------------------------------------------

    def test_the_steps_of_the_next_thirty_days(self):
        self._create_default((7,), (14,), (60,))
        invoice = self._create_invoice_due("03-01", 250)
        self.travel("03-05")
        self.drain()
        simulation = self.simulate()
        self.assertTold(simulation, "03-08 S1", "03-15 S2")
        line = simulation.line_ids[0]
        self.assertEqual(line.move_id, invoice)
        self.assertEqual(line.partner_id, self.customer)
        self.assertEqual((line.amount_residual, line.amount_company), (250, 250))
        self.assertEqual(line.explanation, "“S1” leaves on 03/08/2026")
        self.assertEqual(line.action_open_invoice()["res_id"], invoice.id)
        self.assertEqual(simulation.reminders_count, 2)
        self.assertEqual(simulation.reminded_amount, 250, "one invoice, counted once")

    def test_what_if_i_start_it_today(self):
        sequence = self._create_sequence(((7,), (14,)), start=False)
        self.customer.write({"dunning_policy": "own", "dunning_sequence_id": sequence})
        self.travel("03-10")
        coming = self._create_invoice_due("03-08")
        older = self._create_invoice_due("01-20")
        simulation = self.simulate(sequence)
        self.assertTold(simulation, "03-15 S1", "03-22 S2")
        self.assertSilent(simulation, older, "older")
        self.assertEqual(sequence.state, "draft")
        self.assertFalse(self.Enrollment.search([("move_id", "=", coming.id)]))
        self.assertSilent(self.simulate(), coming, "sequence_off")

    def test_what_if_it_was_the_default(self):
        sequence = self._create_sequence(((7,),), start=False)
        self.travel("03-01")
        self._create_invoice_due("03-01")
        self.assertFalse(self.simulate(sequence).line_ids)
        self.assertTold(self.simulate(sequence, as_default=True), "03-08 S1")

    def test_who_is_not_reminded_and_why(self):
        sequence = self._create_default((7,), (14,), min_amount=50)
        disputed = self._create_invoice_due("03-01")
        disputed.dunning_disputed = True
        promised = self._create_invoice_due("03-01")
        promised.dunning_promise_date = to_date("06-01")
        names = ("Poor", "Mute", "Free")
        poor, mute, free = (
            self._create_invoice_due("03-01", amount, self._create_customer(name))
            for name, amount in zip(names, (20, 100, 100), strict=True)
        )
        mute.partner_id.email = False
        free.partner_id.dunning_policy = "none"
        later = self._create_invoice_due("05-01")
        self.travel("03-05")
        self.drain()
        simulation = self.simulate()
        self.assertTold(simulation)
        self.assertSilent(simulation, disputed, "dispute")
        self.assertSilent(simulation, promised, "promise", "06-04")
        self.assertSilent(simulation, poor, "min_amount")
        self.assertSilent(simulation, mute, "no_recipient")
        self.assertSilent(simulation, free, "no_sequence")
        self.assertSilent(simulation, later, "later", "05-08")
        self.assertEqual(simulation.silent_count, 6)
        words = dict(zip(simulation.line_ids.move_id, simulation.line_ids, strict=True))
        self.assertEqual(words[poor].explanation, "Below the minimum amount")
        self.assertEqual(
            words[promised].explanation, "Promise to pay, until 06/04/2026"
        )
        self.assertEqual(words[later].explanation, "Next reminder on 05/08/2026")
        self.assertNotIn(free, self.simulate(sequence).line_ids.move_id)

    def test_steps_by_hand_are_marked_and_overtaken(self):
        self._create_default(
            {"delay": 7, "mode": "manual"}, {"delay": 14, "mode": "approval"}
        )
        self._create_invoice_due("03-01")
        self.travel("03-05")
        self.drain()
        simulation = self.simulate()
        self.assertEqual(
            [(to_text(line.date), line.outcome) for line in simulation.line_ids],
            [("03-08", "by_hand"), ("03-15", "reminded")],
        )
        self.assertEqual(
            simulation.line_ids.mapped("explanation"),
            [
                "“S1” is to be done by hand on 03/08/2026",
                "“S2” is to be approved on 03/15/2026",
            ],
        )
        self.assertEqual(simulation.by_hand_count, 1)
        self.assertComesTrue()

    def test_after_hours_the_first_day_is_tomorrow(self):
        self._create_default((7,))
        self._create_invoice_due("03-01")
        self.travel("03-08", hour=20)
        self.drain()
        self.assertTold(self.simulate(), "03-09 S1")

    def test_who_had_his_mail_today_waits_for_tomorrow(self):
        self._create_default((7,), (14,))
        self._create_invoice_due("03-01")
        self.run_on("03-08")
        self._create_invoice_due("03-01", invoice_date=to_date("02-01"))
        self.drain()
        told = self.assertComesTrue(days=3)
        self.assertEqual([fact[:2] for fact in told], [("03-09", "S1")])

    def test_the_holidays_of_an_extension_end_by_themselves(self):
        """See the example in docs/extending.md."""
        self._create_default((7,))
        invoice = self._create_invoice_due("03-01")
        Enrollment = self.env.registry["dunning.enrollment"]
        original = Enrollment._get_hold_reason

        def _get_hold_reason(enrollment, row, sequence):
            if row["today"] < to_date("03-12"):
                return "sleepy"
            return original(enrollment, row, sequence)

        self.travel("03-05")
        self.drain()
        with patch.object(Enrollment, "_get_hold_reason", _get_hold_reason):
            self.assertTold(self.simulate(), "03-12 S1")
        self.assertFalse(invoice.dunning_reminder_ids)

    def test_bank_statements_are_loaded_from_tomorrow_on(self):
        self._create_default((7,))
        self.company.dunning_statement_days = 3
        self._create_invoice_due("03-01")
        self.run_on("03-08")
        self.assertTold(self.simulate(), "03-09 S1")

    # ------------------------------------------------------------------------
    # IT COMES TRUE
    # ------------------------------------------------------------------------

    def _create_mixture(self):
        """Invoices of all kinds, due around the end of February."""
        self.travel("02-10")
        address = {"street": "Main Street 1", "city": "Vienna"}
        customers = [
            self._create_customer(f"M{number}", **address) for number in range(3)
        ]
        for number, customer in enumerate(customers):
            for day in ("01-15", "02-08", "02-20", "02-27"):
                self._create_invoice_due(day, 30 * number + 10, customer)
            self._create_invoice_in_instalments(
                ("02-12", 30), ("02-26", 30), ("03-10", 40), customer=customer
            )
        self.travel("02-18")
        invoices = self.env["account.move"].search(
            [("partner_id", "in", [customer.id for customer in customers])], order="id"
        )
        customers[0].write(
            {"dunning_paused": True, "dunning_pause_until": to_date("03-01")}
        )
        invoices[1].dunning_promise_date = to_date("02-24")
        invoices[2].write(
            {"dunning_paused": True, "dunning_pause_until": to_date("03-08")}
        )
        invoices[-1].dunning_disputed = True
        self.env["dunning.hold"].create(
            {
                "partner_id": customers[1].id,
                "since": to_date("02-28"),
                "until": to_date("03-04"),
            }
        )
        self.drain()
        return invoices

    def _assert_mixture_comes_true(self, *steps, **vals):
        self.travel("02-09")
        self._create_default(*steps, **vals)
        self._create_mixture()
        self.assertGreater(len(self.assertComesTrue(days=25)), 10)

    def test_grouped_by_customer_it_comes_true(self):
        self._assert_mixture_comes_true(
            (-3,), (5,), (5, "previous"), {"delay": 20, "repeat_every": 4}
        )

    def test_with_days_between_reminders_it_comes_true(self):
        self._assert_mixture_comes_true((-2,), (4,), (12,), min_contact_days=5)

    def test_one_mail_per_invoice_and_old_ones_from_the_first_step(self):
        self._assert_mixture_comes_true(
            (3,), (9,), (15,), grouping="invoice", catch_up="first", min_contact_days=2
        )

    def test_with_a_minimum_amount_it_comes_true(self):
        self._assert_mixture_comes_true((3,), (9,), catch_up="latest", min_amount=60)

    def test_approved_the_same_day_it_comes_true(self):
        approved = {"delay": 9, "mode": "approval"}
        manual = {"delay": 15, "mode": "manual"}
        self._assert_mixture_comes_true((3,), approved, manual, (21,))

    def test_letters_and_calls_on_working_days_come_true(self):
        """Weekends, and the first week of March."""
        calendar = self.env["resource.calendar"].create(
            {
                "name": "Office",
                "tz": "UTC",
                "company_id": self.company.id,
                "global_leave_ids": [
                    Command.create(
                        {
                            "name": "Closed",
                            "date_from": "2026-03-02 00:00:00",
                            "date_to": "2026-03-06 23:59:59",
                        }
                    )
                ],
            }
        )
        self._assert_mixture_comes_true(
            (-3,),
            {"delay": 4, "channel": "letter"},
            {"delay": 9, "channel": "activity"},
            {"delay": 12, "trigger": "previous", "mode": "approval"},
            calendar_id=calendar.id,
            min_contact_days=3,
            user_id=self.env.user.id,
        )

    def test_a_draft_comes_true_when_it_is_started(self):
        self.travel("02-09")
        steps = ((-3,), (5,), (12,), (18,))
        sequence = self._create_sequence(steps, start=False)
        customers = self._create_mixture().partner_id
        for customer, catch_up in zip(
            customers, ("crossing", "latest", "first"), strict=True
        ):
            customer.write(
                {
                    "dunning_policy": "own",
                    "dunning_sequence_id": sequence.id,
                    "dunning_catch_up": catch_up,
                }
            )
        told = self.assertComesTrue(sequence, days=25, start=True)
        self.assertGreater(len(told), 10)

    def test_two_sequences_do_not_disturb_each_other(self):
        """Days between reminders count over all sequences."""
        self.travel("02-09")
        self._create_default((3,), (8,), min_contact_days=4)
        other = self._create_sequence(((2,), (6,), (9,)), prefix="B")
        invoices = self._create_mixture()
        invoices[::3].write({"dunning_policy": "own", "dunning_sequence_id": other.id})
        self.drain()
        whole = self.simulate()
        part = self.get_told(self.simulate(other))
        self.assertTrue(part)
        self.assertEqual(
            part, [fact for fact in self.get_told(whole) if fact[1].startswith("B")]
        )
        self.assertComesTrue(days=12)

    @settings(
        max_examples=EXAMPLES or 5,
        phases=(Phase.generate,),
        report_multiple_bugs=False,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(events, min_size=6, max_size=16))
    def test_after_any_series_of_events_it_comes_true(self, series):
        self.commit()
        with self.env.cr.savepoint() as savepoint:
            self.travel(START)
            world = World(self)
            for name, *args in series:
                getattr(world, name)(*args)
                self.drain()
            world.run(2)  # what the mail server did not take is gone, too
            self.assertComesTrue(days=20)
            savepoint.rollback()
        self.env.cr.precommit.clear()

    # ------------------------------------------------------------------------
    # NOTHING ELSE
    # ------------------------------------------------------------------------

    def _read_tables(self):
        tables = (
            "dunning_enrollment",
            "dunning_reminder",
            "dunning_reminder_line",
            "dunning_mark",
            "dunning_hold",
            "dunning_sequence",
            "account_move",
            "account_move_line",
            "mail_message",
            "mail_mail",
        )
        rows = {}
        for table in tables:
            self.env.cr.execute(f"SELECT xmin, * FROM {table} ORDER BY id")
            rows[table] = self.env.cr.fetchall()
        return rows

    def test_nothing_is_written(self):
        sequence = self._create_sequence(
            ((3,), (9,)), start=False, min_contact_days=3, default=True
        )
        self._create_mixture()
        before = self._read_tables()
        simulation = self.simulate(sequence)
        self.assertTrue(self.get_told(simulation))
        self.env.flush_all()
        self.assertEqual(self._read_tables(), before)

    def test_lines_go_when_it_is_simulated_again(self):
        self._create_default((7,))
        self._create_invoice_due("03-01")
        self.travel("03-05")
        self.drain()
        simulation = self.simulate()
        simulation.action_simulate()
        self.assertEqual(len(simulation.line_ids), 1)
        simulation.unlink()
        self.env.cr.execute("SELECT count(*) FROM dunning_simulation_line")
        self.assertEqual(self.env.cr.fetchone(), (0,))

    def test_it_looks_ahead_from_1_to_90_days(self):
        for days in (0, 91):
            with (
                self.assertRaises(CheckViolation),
                mute_logger("odoo.sql_db"),
                self.env.cr.savepoint(),
            ):
                self.simulate(days=days)

    # ------------------------------------------------------------------------
    # WHO
    # ------------------------------------------------------------------------

    def test_who_sees_invoices_simulates_his_own_companies(self):
        self._create_default((7,))
        self._create_invoice_due("03-01")
        self.travel("03-05")
        self.drain()
        for name in ("readonly", "invoice"):
            user = self._create_user(name, f"account.group_account_{name}")
            simulation = self.env["dunning.simulation"].with_user(user).create({})
            simulation.action_simulate()
            self.assertEqual(simulation.reminders_count, 1)
        stranger = self._create_user("stranger")
        with self.assertRaises(AccessError):
            self.env["dunning.simulation"].with_user(stranger).action_open()
        curious = self._create_user("curious", "account.group_account_invoice")
        with self.assertRaises(AccessError):
            simulation.with_user(curious).read(["days"])

    def test_another_company_is_not_simulated(self):
        self._create_default((7,))
        self._create_invoice_due("03-01")
        self.travel("03-05")
        self.drain()
        other = self.env["res.company"].create({"name": "Other"})
        user = self._create_user(
            "elsewhere",
            "account.group_account_invoice",
            company_id=other.id,
            company_ids=[Command.set(other.ids)],
        )
        simulation = (
            self.env["dunning.simulation"]
            .with_user(user)
            .create({"company_id": self.company.id})
        )
        simulation.action_simulate()
        self.assertFalse(simulation.line_ids)

    # ------------------------------------------------------------------------
    # BUTTONS
    # ------------------------------------------------------------------------

    def test_start_shows_first_what_it_does(self):
        manager = self._create_user("manager", "account.group_account_manager")
        sequence = self._create_sequence(((7,), (14,)), start=False, default=True)
        sequence = sequence.with_user(manager)
        self.travel("03-01")
        self._create_invoice_due("03-01")
        older = self._create_invoice_due("01-15")
        action = sequence.action_simulate()
        simulation = self.env[action["res_model"]].with_user(manager)
        simulation = simulation.browse(action["res_id"])
        self.assertTold(simulation, "03-08 S1", "03-15 S2")
        self.assertEqual(sequence.state, "draft")
        message = simulation.action_start()["params"]["message"]
        self.assertEqual(sequence.state, "running")
        self.assertEqual(
            message,
            "“Sequence” runs. Invoices that follow it: 1. "
            "Left out, older than the start: 1.",
        )
        self.assertNext(older, "held", reason="older")

    def test_start_as_default(self):
        sequence = self._create_sequence(((7,),), start=False)
        self.travel("03-01")
        self._create_invoice_due("03-01")
        manager = self._create_user("manager", "account.group_account_manager")
        wish = {"sequence_id": sequence.id, "as_default": True}
        with self.assertRaisesRegex(UserError, "administrator"):
            self.env["dunning.simulation"].with_user(manager).create(
                wish
            ).action_start()
        simulation = self.env["dunning.simulation"].create(wish)
        simulation.action_start()
        self.assertEqual(self.company.dunning_sequence_id, sequence)
        self.assertEqual(sequence.enrollments_count, 1)

    def test_billing_does_not_start(self):
        sequence = self._create_sequence(((7,),), start=False)
        user = self._create_user("billing", "account.group_account_invoice")
        simulation = self.env["dunning.simulation"].with_user(user)
        simulation = simulation.create({"sequence_id": sequence.id})
        with self.assertRaises(AccessError):
            simulation.action_start()
        self.assertEqual(sequence.state, "draft")

    def test_an_empty_sequence_says_what_is_missing(self):
        sequence = self._create_sequence((), start=False)
        with self.assertRaisesRegex(UserError, "add at least one"):
            sequence.action_simulate()

    def test_by_mail_to_oneself(self):
        self._create_default((7,), (14,))
        self._create_invoice_due("03-01", 1234)
        paused = self._create_invoice_due("03-01", 55)
        paused.dunning_paused = True
        self.travel("03-05")
        self.drain()
        self.env["res.lang"]._activate_lang("fr_FR")
        user = self._create_user(
            "reader", "account.group_account_readonly", lang="fr_FR"
        )
        simulation = self.env["dunning.simulation"].with_user(user).create({})
        simulation.action_simulate()
        simulation.action_send()
        self.assertEqual(len(self.sink.mails), 1)
        mail = self.sink.mails[0]
        self.assertIn("reader@test.example.com", mail["To"])
        text = self.get_text(mail)
        self.assertIn("08/03/2026 S1", text, "in French")
        self.assertIn("1 234,00", text)
        self.assertIn("55,00", text)
        user.email = False
        with self.assertRaisesRegex(UserError, "e-mail"):
            simulation.action_send()

    def test_the_form_says_that_it_is_out_of_date(self):
        sequence = self._create_default((7,))
        simulation = self.simulate()
        with Form(simulation) as form:
            self.assertFalse(form.is_stale)
            form.sequence_id = sequence
            self.assertTrue(form.is_stale)
        simulation.action_simulate()
        self.assertFalse(simulation.is_stale)

    # ------------------------------------------------------------------------
    # BEFORE A CHANGE
    # ------------------------------------------------------------------------

    def test_a_change_says_what_it_does_before_it_is_saved(self):
        sequence = self._create_default((7,), (14,))
        self._create_invoice_due(date(2025, 12, 1))  # older than the start
        self._create_invoice_due("03-01")
        self._create_invoice_due("03-08")
        self.run_on("03-08")
        form = Form(sequence)
        self.assertFalse(form.change_preview)
        with form.step_ids.edit(1) as step:
            step.delay = 16
        self.assertEqual(
            form.change_preview,
            "When you save this change, of the instalments followed now: "
            "1 with another date.",
        )
        with form.step_ids.edit(1) as step:
            step.delay = 14
        self.assertFalse(form.change_preview, "as it was")
        form.step_ids.remove(1)
        self.assertIn("1 with no more reminder", form.change_preview)
        self.assertEqual(sequence.step_ids.mapped("delay"), [7, 14], "nothing is saved")

    def test_what_a_change_does_is_what_it_said(self):
        sequence = self._create_default((7,), (14,), (21,))
        self._create_invoice_due(date(2025, 12, 10))
        for day in ("01-01", "03-01", "03-05", "03-08", "03-20"):
            self._create_invoice_due(day)
        self.run_on("03-01..03-14")
        before = self._get_coming()
        form = Form(sequence)
        form.step_ids.remove(1)
        with form.step_ids.edit(0) as step:
            step.delay = 9
        with form.step_ids.edit(1) as step:
            step.delay = 70
        told = form.change_preview
        form.save()
        self.drain()
        after = self._get_coming()
        changed = [key for key in before if before[key] != after[key]]
        self.assertTrue(changed)
        self.assertEqual(
            sum(int(word) for word in told.replace(",", " ").split() if word.isdigit()),
            len(changed),
        )
        self.assertIn("skipping a step", told)

    def _get_coming(self):
        return {
            (e.move_id, e.due_date): (e.next_step_id.name, e.next_date)
            for e in self.Enrollment.search([])
        }

    def test_a_draft_tells_nothing_of_changes(self):
        sequence = self._create_sequence(((7,), (14,)), start=False, default=True)
        self._create_invoice_due("03-01")
        form = Form(sequence)
        form.step_ids.remove(1)
        self.assertFalse(form.change_preview)

    # ------------------------------------------------------------------------
    # COST
    # ------------------------------------------------------------------------

    def _count_queries(self, number):
        customers = [self._create_customer(f"Q{number}-{i}") for i in range(number)]
        invoices = self.env["account.move"]
        for customer in customers:
            invoices += self._create_invoice_due("03-01", customer=customer, post=False)
        invoices.action_post()
        self.drain()
        simulation = self.env["dunning.simulation"].create({})
        self.env.flush_all()
        self.env.invalidate_all()
        before = self.env.cr.sql_log_count
        simulation.action_simulate()
        return self.env.cr.sql_log_count - before

    def test_a_hundred_invoices_cost_as_many_queries_as_one(self):
        self._create_default((3,), (9,), (15,), min_contact_days=2, min_amount=1)
        self.travel("02-20")
        self._count_queries(1)  # fills Odoo's caches
        one = self._count_queries(1)
        self.assertLessEqual(self._count_queries(100), one + 3)


@tagged("post_install", "-at_install")
class TestSimulationTour(AccountTestInvoicingHttpCommon):
    """From the menu, with the right to read invoices."""

    def test_simulation_is_read(self):
        company = self.env.company
        new_test_user(
            self.env,
            login="dunning_reader",
            groups="base.group_user,account.group_account_invoice",
            company_id=company.id,
            company_ids=[Command.set(company.ids)],
        )
        sequence = self.env["dunning.sequence"].search(
            [("company_id", "=", company.id), ("grouping", "=", "customer")]
        )
        sequence.action_start()
        company.dunning_sequence_id = sequence
        customer = self.env["res.partner"].create(
            {"name": "Azure", "email": "azure@example.com"}
        )
        today = fields.Date.today()
        invoice = self._create_invoice_one_line(
            price_unit=100,
            partner_id=customer,
            invoice_date=today,
            invoice_date_due=today + timedelta(days=15),
            invoice_payment_term_id=False,
            post=True,
        )
        self.env["dunning.enrollment"]._reconcile(invoice)
        self.start_tour("/odoo", "dunning_simulation_is_read", login="dunning_reader")
        self.assertFalse(invoice.dunning_reminder_ids)
