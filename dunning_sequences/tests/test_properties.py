import contextlib
import os
from collections import Counter
from datetime import datetime, time, timedelta

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from odoo import Command
from odoo.exceptions import UserError
from odoo.tests import tagged

from .common import START, DunningCommon, to_date

#: More of them, others each time, and the shortest series that fails, when somebody
#: has the time: DUNNING_EXAMPLES=500.
EXAMPLES = int(os.environ.get("DUNNING_EXAMPLES", "0"))

#: What reconcile decides: must be the same whether it looks at one invoice or at all.
DECIDED = (
    "due_date",
    "partner_id",
    "sequence_id",
    "entered_on",
    "first_step_id",
    "catch_up",
    "next_step_id",
    "next_date",
    "occurrence",
    "state",
    "hold_reason",
    "hold_until",
)

#: Payments of which nobody is reminded.
OVER = ("paid", "reversed")

#: States of reminders of which one a day is enough.
TOLD = ("to_approve", "to_print", "to_do", "queued", "sent", "doubtful")

#: For letters.
ADDRESS = {"street": "Main Street 1", "zip": "1000", "city": "Town"}

#: What a sequence says of these unless it is told otherwise.
POLICY = {
    "require_sent": False,
    "min_amount": 0,
    "min_contact_days": 0,
    "catch_up": "crossing",
    "grouping": "customer",
}

which = st.integers(0, 1)
days = st.integers(1, 9)

#: One thing that happens: (name of the method, its arguments). What can be undone is
#: one event that does or undoes it: so that both are frequent.
events = st.one_of(
    st.tuples(st.just("run"), days),
    st.tuples(st.just("run"), days),
    st.tuples(st.just("run"), days),
    st.tuples(st.just("run_with_server_down"), days),
    st.tuples(st.just("compose_only"), days),
    st.tuples(st.just("deliver_only")),
    st.tuples(st.just("outage"), days),
    st.tuples(st.just("post"), which, st.integers(-20, 15), st.booleans()),
    st.tuples(st.just("pay"), which, st.sampled_from((None, 40))),
    st.tuples(st.just("pay_or_bounce_cheque"), which),
    st.tuples(st.just("draft_or_post"), which),
    st.tuples(st.just("change_due"), which, st.integers(-15, 15)),
    st.tuples(st.just("pause_or_resume"), which, st.none() | st.integers(0, 9)),
    st.tuples(st.just("pause_or_resume_customer"), which),
    st.tuples(st.just("move"), which, st.sampled_from(("a", "b", "none", "default"))),
    st.tuples(
        st.just("move_invoice"), which, st.sampled_from(("b", "none", "default"))
    ),
    st.tuples(st.just("edit_steps"), st.integers(-3, 6)),
    st.tuples(st.just("delete_or_add_step"), st.integers(1, 30)),
    st.tuples(st.just("stop_or_start")),
    st.tuples(st.just("lose_or_find_address"), which),
    st.tuples(st.just("bounce_or_retry"), which),
    st.tuples(st.just("decide"), which, st.sampled_from(("approve", "skip", "cancel"))),
    st.tuples(st.just("remind_by_hand"), which),
    # Invoices
    st.tuples(st.just("put_in_instalments"), which, st.integers(-10, 15)),
    st.tuples(st.just("reverse"), which),
    st.tuples(st.just("cancel_or_reopen"), which),
    st.tuples(st.just("delete"), which),
    st.tuples(st.just("block_or_release"), which),
    st.tuples(st.just("exclude_or_follow"), which),
    st.tuples(st.just("mark_sent_or_not"), which),
    # Customers
    st.tuples(st.just("promise"), which, st.integers(0, 6)),
    st.tuples(st.just("dispute_or_settle"), which),
    st.tuples(st.just("record_or_skip"), which, st.sampled_from(("record", "skip"))),
    st.tuples(st.just("print_or_call"), which, st.booleans()),
    st.tuples(st.just("undo"), which),
    st.tuples(st.just("postpone_step"), which, days),
    st.tuples(st.just("merge"), which, st.booleans(), st.sampled_from(("b", "none"))),
    st.tuples(st.just("join_or_leave_group"), which, st.booleans()),
    st.tuples(st.just("hire_or_dismiss"), which, st.booleans()),
    # Settings
    st.tuples(st.just("keep_week_ends_or_not")),
    st.tuples(st.just("add_holiday"), days),
    st.tuples(st.just("choose_default"), st.sampled_from(("a", "b", None))),
    st.tuples(st.just("choose_from_date"), st.none() | st.integers(0, 40)),
    st.tuples(st.just("exchange_steps")),
    st.tuples(st.just("archive_or_restore")),
    st.tuples(st.just("delete_sequence")),
    st.tuples(
        st.just("change_policy"),
        st.sampled_from(
            (
                ("require_sent", True),
                ("min_amount", 150),
                ("min_contact_days", 4),
                ("catch_up", "latest"),
                ("grouping", "invoice"),
            )
        ),
    ),
)


class World:
    """Two customers with an invoice each, two sequences, and what can happen."""

    def __init__(self, test):
        self.test = test
        self.a = test._create_default((-2,), (5,), (12,), (20,))
        self.b = self.create_b()
        self.customers = [test._create_customer(f"W{i}", **ADDRESS) for i in range(2)]
        self.calendar = test.company.resource_calendar_id.copy()
        self.invoices = {}
        self.older = test.env["account.move"]
        self.paid = {}
        test.travel("02-01")
        for i in range(2):
            self.post(i, 5 * i, False)

    def create_b(self):
        """Like the first sequence, but nothing is as usual."""
        call = {"delay": 9, "channel": "activity", "content": "template"}
        steps = [
            {"delay": 3},
            {"delay": 4, "trigger": "previous", "mode": "approval"},
            {**call, "subject": False, "body": False},
            {"delay": 12, "channel": "letter"},
            {"delay": 15, "repeat_every": 6, "repeat_max": 2},
        ]
        return self.test._create_sequence(steps, prefix="B")

    # --- time ---

    def forward(self, number):
        self.test.travel(self.test.today() + timedelta(days=number))

    def run(self, number):
        self.forward(number)
        self.test.run_day()
        if self.get_stuck():  # a mail that was to leave was called off meanwhile
            self.test.run_day()  # the crons come back every hour
        self.test.assertFalse(self.get_stuck().read(DECIDED), "due, nothing holds it")

    def run_with_server_down(self, number):
        self.forward(number)
        with self.test.server_down():
            self.test.run_day()

    def compose_only(self, number):
        self.forward(number)
        self.test.compose_day()

    def deliver_only(self):
        self.test.deliver()

    def outage(self, number):
        self.forward(number)
        self.reconcile_all()  # time alone leaves no mark; each run looks at all

    # --- invoices ---

    def post(self, i, due, in_instalments):
        """Another invoice of a customer: what happens now happens to it."""
        self.older |= self.invoices.get(i, self.older)
        first = self.test.today() + timedelta(days=due)
        if in_instalments:
            self.invoices[i] = self.test._create_invoice_in_instalments(
                (first, 40),
                (first + timedelta(days=8), 60),
                invoice_date=first - timedelta(days=10),
                customer=self.customers[i],
            )
        else:
            self.invoices[i] = self.test._create_invoice_due(
                first, customer=self.customers[i]
            )

    def pay(self, i, amount):
        invoice = self.invoices[i]
        if invoice.state == "posted" and invoice.amount_residual:
            self.test.pay(invoice, amount and min(amount, invoice.amount_residual))

    def pay_or_bounce_cheque(self, i):
        if self.invoices[i].payment_state in ("paid", "partial"):
            self.test.unreconcile(self.invoices[i])
        else:
            self.pay(i, None)

    def draft_or_post(self, i):
        if self.invoices[i].state == "posted":
            self.invoices[i].button_draft()
        else:
            self.reopen(i).action_post()

    def change_due(self, i, number):
        invoice = self.reopen(i)
        invoice.invoice_payment_term_id = False
        invoice.invoice_date_due = self.test.today() + timedelta(days=number)
        invoice.action_post()

    def reopen(self, i):
        if self.invoices[i].state != "draft":
            self.invoices[i].button_draft()
        return self.invoices[i]

    def put_in_instalments(self, i, number):
        """Other terms of payment: two instalments."""
        invoice = self.reopen(i)
        first = number + (self.test.today() - invoice.invoice_date).days
        invoice.invoice_payment_term_id = self.test.env["account.payment.term"].create(
            {
                "name": "Two",
                "line_ids": [
                    Command.create(
                        {
                            "value": "percent",
                            "value_amount": 50,
                            "nb_days": first + 8 * n,
                        }
                    )
                    for n in range(2)
                ],
            }
        )
        invoice.action_post()

    def reverse(self, i):
        invoice = self.invoices[i]
        if invoice.state == "posted" and invoice.amount_residual:
            today = self.test.today()
            invoice._reverse_moves(
                [{"date": today, "invoice_date": today}], cancel=True
            )

    def cancel_or_reopen(self, i):
        invoice = self.invoices[i]
        if invoice.state == "cancel":
            self.reopen(i).action_post()
        else:
            self.reopen(i).button_cancel()

    def delete(self, i):
        """And post another one, so that there is one."""
        invoice = self.reopen(i)
        self.paid.pop(invoice, None)
        self.invoices[i] = self.older[:0]
        self.post(i, 3, False)
        invoice.with_context(force_delete=True).unlink()

    def block_or_release(self, i):
        invoice = self.invoices[i]
        if invoice.state == "posted" and invoice.payment_state not in OVER:
            invoice.action_toggle_block_payment()

    def exclude_or_follow(self, i):
        lines = self.invoices[i].line_ids
        for line in lines.filtered(lambda r: r.display_type == "payment_term")[:1]:
            line.no_followup = not line.no_followup

    def mark_sent_or_not(self, i):
        self.invoices[i].is_move_sent = not self.invoices[i].is_move_sent

    # --- people ---

    def promise(self, i, number):
        day = number and self.test.today() + timedelta(days=number)
        self.invoices[i].dunning_promise_date = day

    def dispute_or_settle(self, i):
        self.invoices[i].dunning_disputed = not self.invoices[i].dunning_disputed

    def record_or_skip(self, i, how):
        coming = self.invoices[i].dunning_enrollment_ids
        with contextlib.suppress(UserError):
            getattr(coming, f"action_{how}")()

    def merge(self, i, into_new, where):
        """The customer and another one with a policy become one, either way."""
        other = self.test._create_customer(f"w{i}")
        self._move(other, where)
        merged = other + self.customers[i].commercial_partner_id
        remains = other if into_new else merged[1]
        (merged - remains).parent_id = False
        self.test.env["base.partner.merge.automatic.wizard"]._merge(merged.ids, remains)
        if not self.customers[i].exists():
            self.customers[i] = remains

    def join_or_leave_group(self, i, with_hold):
        customer = self.customers[i]
        if customer.parent_id:
            customer.write({"is_company": True, "parent_id": False})
            return
        group = self.test._create_customer(f"Group {i}", email=False)
        if with_hold:
            group.dunning_paused = True
        customer.write({"is_company": False, "parent_id": group.id})

    def hire_or_dismiss(self, i, starred):
        """A contact who gets the bills, and then does not."""
        customer = self.customers[i].commercial_partner_id
        if customer.child_ids - self.customers[i]:
            (customer.child_ids - self.customers[i]).unlink()
            return
        self.test._create_contact(
            customer,
            f"w{i}",
            type="contact" if starred else "invoice",
            dunning_contact=starred,
        )

    def pause_or_resume(self, i, number):
        invoice = self.invoices[i]
        until = number is not None and self.test.today() + timedelta(days=number)
        invoice.write(
            {
                "dunning_paused": not invoice.dunning_paused,
                "dunning_pause_until": until,
            }
        )

    def pause_or_resume_customer(self, i):
        customer = self.customers[i].commercial_partner_id
        customer.dunning_paused = not customer.dunning_paused

    def move(self, i, where):
        self._move(self.customers[i].commercial_partner_id, where)

    def move_invoice(self, i, where):
        self._move(self.invoices[i], where)

    def _move(self, record, where):
        sequence = {"a": self.a, "b": self.b}.get(where)
        policy = "own" if sequence else "none" if where == "none" else False
        record.write(
            {
                "dunning_policy": policy,
                "dunning_sequence_id": sequence and sequence.id,
            }
        )

    def lose_or_find_address(self, i):
        customer = self.customers[i]
        customer.email = False if customer.email else f"w{i}@customer.example.com"

    def bounce_or_retry(self, i):
        reminder = self.test.get_last_reminder(self.invoices[i])
        if reminder.state in ("failed", "bounced"):
            reminder.action_retry()
        arrived = reminder.filtered(lambda r: r.state in ("sent", "doubtful"))
        arrived.with_env(self.test.root)._register_bounce(
            {f"w{i}@customer.example.com": ""}
        )
        self.test.env.invalidate_all()

    def decide(self, i, how):
        """About a reminder that waits for approval, if there is one."""
        reminder = self.test.get_last_reminder(self.invoices[i])
        if reminder.state == "to_approve":
            getattr(reminder, f"action_{how}")()

    def remind_by_hand(self, i):
        with contextlib.suppress(UserError):  # nothing to send now, and it says why
            with self.test.env.cr.savepoint():
                self.invoices[i].action_dunning_remind()

    def print_or_call(self, i, done):
        """The letter or the call that waits, if there is one."""
        reminder = self.test.get_last_reminder(self.invoices[i])
        if reminder.state == "to_print":
            reminder.action_print()
        elif reminder.state == "to_do":
            activities = self.invoices[i].activity_ids
            activities.action_feedback() if done else activities.unlink()

    def undo(self, i):
        with contextlib.suppress(UserError):
            self.test.get_last_reminder(self.invoices[i]).action_undo()

    def postpone_step(self, i, number):
        coming = self.invoices[i].dunning_enrollment_ids
        with contextlib.suppress(UserError):
            coming.action_postpone(self.test.today() + timedelta(days=number))

    # --- the sequence ---

    def edit_steps(self, number):
        self.a.step_ids = [
            Command.update(step.id, {"delay": step.delay + number})
            for step in self.a.step_ids
        ]

    def delete_or_add_step(self, delay):
        """Delete the one with this delay, or the second; or add it where it belongs."""
        steps = self.a.step_ids
        if delay % 2 and len(steps) > 1:
            steps[1].unlink()
        elif delay not in steps.mapped("delay"):
            step = self.test._prepare_step("N", delay, (delay,))
            later = steps.filtered(lambda r: r.delay > delay)
            self.a.step_ids = [
                Command.create({**step, "sequence": 10 * (len(steps - later) + 1)}),
                *(
                    Command.update(r.id, {"sequence": 10 * number})
                    for number, r in enumerate(later, len(steps - later) + 2)
                ),
                *(
                    Command.update(r.id, {"sequence": 10 * number})
                    for number, r in enumerate(steps - later, 1)
                ),
            ]

    def stop_or_start(self):
        if self.a.state == "running":
            self.a.action_stop()
        else:
            self.a.action_start()

    def exchange_steps(self):
        """The first and the second one change places."""
        steps = self.a.step_ids[:2]
        places = [{"sequence": s.sequence, "delay": s.delay} for s in steps]
        self.a.step_ids = [
            Command.update(step.id, place)
            for step, place in zip(steps, reversed(places), strict=True)
        ]

    def archive_or_restore(self):
        self.a.active = not self.a.active

    def delete_sequence(self):
        """The second one: and write it anew."""
        self.b.action_stop()
        self.b.unlink()
        self.b = self.create_b()

    def change_policy(self, change):
        """Of the first sequence: there and back."""
        name, value = change
        self.a[name] = POLICY[name] if self.a[name] == value else value

    def keep_week_ends_or_not(self):
        self.a.calendar_id = False if self.a.calendar_id else self.calendar

    def add_holiday(self, number):
        day = datetime.combine(self.test.today(), time()) + timedelta(days=number)
        self.test.env["resource.calendar.leaves"].create(
            {
                "calendar_id": self.calendar.id,
                "date_from": day,
                "date_to": day + timedelta(hours=23),
            }
        )

    # --- the company ---

    def choose_default(self, which_one):
        chosen = {"a": self.a, "b": self.b}.get(which_one)
        self.a.company_id.dunning_sequence_id = chosen

    def choose_from_date(self, number):
        day = number is not None and self.test.today() - timedelta(days=number)
        self.a.company_id.dunning_from_date = day

    # --- what must hold whatever happened ---

    def get_invoices(self):
        return self.older.union(*self.invoices.values()).exists()

    def reconcile_all(self):
        self.test.commit()
        self.test.root["dunning.enrollment"]._reconcile(today=self.test.today())
        self.test.env.invalidate_all()

    def get_decisions(self):
        enrollments = self.test.Enrollment.search([], order="move_id, due_date")
        return enrollments.read(DECIDED)

    def assert_incremental_is_complete(self):
        """What the marks led to is what a look at everything leads to."""
        self.test.drain()
        before = self.get_decisions()
        self.reconcile_all()
        self.test.assertEqual(self.get_decisions(), before)

    def assert_history_is_sound(self):
        lines = self.test.env["dunning.reminder.line"].search(
            [("counts", "=", True), ("move_id", "!=", False)]
        )
        keys = Counter((r.move_id, r.due_date, r.step_id, r.occurrence) for r in lines)
        twice = [key for key, times in keys.items() if times > 1 and key[2]]
        self.test.assertFalse(twice, "said twice")
        reminders = self.test.Reminder.search(
            [("state", "=", "sent"), ("channel", "=", "email")]
        )
        arrived = Counter(mail["Message-Id"] for mail in self.test.sink.mails)
        self.test.assertEqual(
            sorted(r.message_id for r in reminders),
            sorted(m for m in arrived if m in set(reminders.mapped("message_id"))),
        )
        self.test.assertEqual(set(arrived.values()) - {1}, set(), "arrived twice")
        for invoice in self.get_invoices():
            told = (lines & invoice.dunning_reminder_line_ids).filtered("sent_on")
            told = told.filtered(lambda r: r.reminder_id.origin != "recorded")
            per_day = Counter((r.due_date, r.sent_on) for r in told)
            self.test.assertFalse([key for key, n in per_day.items() if n > 1])

    def assert_every_wait_has_a_reason(self):
        silent = self.test.Enrollment.search(
            [
                "|",
                "&",
                ("state", "in", ("held", "todo", "stopped")),
                ("hold_reason", "=", False),
                "&",
                ("state", "=", "running"),
                ("next_date", "=", False),
            ]
        )
        self.test.assertFalse(silent.read(DECIDED), "it waits, and nobody knows why")

    def assert_nobody_is_told_after_paying(self):
        for invoice in self.get_invoices():
            told = len(self.test.get_reminders(invoice))
            if invoice.state == "cancel" or invoice.payment_state in OVER:
                self.test.assertLessEqual(told, self.paid.setdefault(invoice, told))
            else:
                self.paid.pop(invoice, None)

    def get_stuck(self):
        """What is due has a reason to wait, or its customer got a mail today."""
        today = self.test.today()
        told = self.test.Reminder.search([("date", "=", today), ("state", "in", TOLD)])
        return self.test.Enrollment.search(
            [
                ("state", "=", "running"),
                ("next_date", "<=", today),
                ("partner_id", "not in", told.partner_id.ids),
            ]
        )


@tagged("post_install", "-at_install")
class TestProperties(DunningCommon):
    """Whatever happens, in whatever order."""

    def setUp(self):
        super().setUp()
        self.mail_server.from_filter = False  # Odoo writes to people, too

    @settings(
        max_examples=EXAMPLES or 6,
        phases=(Phase.generate, Phase.shrink) if EXAMPLES else (Phase.generate,),
        report_multiple_bugs=False,
        derandomize=not EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(events, min_size=12, max_size=20))
    def test_any_series_of_events(self, series):
        self.commit()
        with self.env.cr.savepoint() as savepoint:
            self.sink.clear()
            self.travel(START)
            world = World(self)
            for name, *args in series:
                getattr(world, name)(*args)
                self.commit()
                world.assert_nobody_is_told_after_paying()
                world.assert_incremental_is_complete()
                world.assert_every_wait_has_a_reason()
                world.assert_history_is_sound()
            savepoint.rollback()
        self.env.cr.precommit.clear()


@tagged("post_install", "-at_install")
class TestMarks(DunningCommon):
    """Each event has the invoices concerned looked at again: these, and no others."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.a = cls._create_default((7,), (14,), (21,))
        cls.b = cls._create_sequence([(9,), (16,)], prefix="B")
        cls.other = cls._create_customer("Other")

    def setUp(self):
        super().setUp()
        self.invoice = self._create_invoice_due("03-01")
        self.bystander = self._create_invoice_due("03-01", customer=self.other)
        self.all = self.invoice + self.bystander
        self.run_day("03-08")
        self.travel("03-10")

    @contextlib.contextmanager
    def happens(self, marked):
        """What the block does has these invoices looked at, and nothing is missing."""
        Mark = self.env["dunning.mark"].sudo()
        self.drain()
        yield
        _ids, move_ids, _posted = Mark._read_marks(1000)
        found = self.env["account.move"].browse(move_ids)
        self.assertEqual(found, marked)
        self.drain()
        self.assertNothingIsMissing()

    def assertNothingIsMissing(self):
        """A look at everything finds nothing that the marks did not."""
        before = self.Enrollment.search([]).read(DECIDED)
        self.root["dunning.enrollment"]._reconcile(today=self.today())
        self.env.invalidate_all()
        self.assertEqual(self.Enrollment.search([]).read(DECIDED), before)

    # ------------------------------------------------------------------------
    # INVOICES
    # ------------------------------------------------------------------------

    def test_an_invoice_is_posted_and_deleted(self):
        draft = self._create_invoice_due("03-05", post=False)
        with self.happens(draft):
            draft.action_post()
        self.assertNext(draft, "running", "03-12 S1")
        with self.happens(self.invoice[:0]):
            draft.button_draft()
            draft.with_context(force_delete=True).unlink()
        self.assertFalse(self.Enrollment.search([("due_date", "=", "2026-03-05")]))

    def test_a_due_date_changes(self):
        with self.happens(self.invoice):
            self.change_due_date(self.invoice, "03-10")
        self.assertNext(self.invoice, "running", "03-24 S2")

    def test_the_terms_change_to_instalments(self):
        with self.happens(self.invoice):
            self.invoice.button_draft()
            self.invoice.invoice_payment_term_id = self.env.ref(
                "account.account_payment_term_advance_60days"
            )
            self.invoice.action_post()
        self.assertEqual(len(self.get_due_dates(self.invoice)), 2)

    def test_it_is_paid_in_part_in_full_and_the_cheque_bounces(self):
        with self.happens(self.invoice):
            self.pay(self.invoice, 40)
        self.assertNext(self.invoice, "running", "03-15 S2")
        with self.happens(self.invoice):
            self.pay(self.invoice)
        self.assertNext(self.invoice, "stopped", reason="paid")
        with self.happens(self.invoice):
            self.unreconcile(self.invoice)
        self.assertNext(self.invoice, "running", "03-15 S2")

    def test_it_is_reversed(self):
        with self.happens(self.invoice):
            self.invoice._reverse_moves([{"date": self.today()}], cancel=True)
        self.assertNext(self.invoice, "stopped", reason="reversed")

    def test_it_goes_back_to_draft_is_posted_again_and_cancelled(self):
        with self.happens(self.invoice):
            self.invoice.button_draft()
        self.assertNext(self.invoice, "stopped", reason="cancelled")
        with self.happens(self.invoice):
            self.invoice.action_post()
        self.assertNext(self.invoice, "running", "03-15 S2")
        with self.happens(self.invoice):
            self.invoice.button_draft()
            self.invoice.button_cancel()
        self.assertNext(self.invoice, "stopped", reason="cancelled")

    def test_it_is_blocked(self):
        with self.happens(self.invoice):
            self.invoice.action_toggle_block_payment()
        self.assertNext(self.invoice, "held", "03-15 S2", reason="blocked")

    def test_it_gets_a_sequence_of_its_own(self):
        with self.happens(self.invoice):
            self.invoice.dunning_sequence_id = self.b
        self.assertNext(self.invoice, "running", "03-10 B1")
        with self.happens(self.invoice):
            self.invoice.dunning_policy = "none"
        self.assertNext(self.invoice, "stopped", reason="no_sequence")

    def test_an_online_payment_begins_and_fails(self):
        methods = self.env["payment.method"].sudo().with_context(active_test=False)
        provider = self.env["payment.provider"].sudo()
        provider = provider.create({"name": "Shop", "company_id": self.company.id})
        with self.happens(self.invoice):
            transaction = (
                self.env["payment.transaction"]
                .sudo()
                .create(
                    {
                        "provider_id": provider.id,
                        "payment_method_id": methods.search([], limit=1).id,
                        "reference": "dunning",
                        "amount": 100,
                        "currency_id": self.invoice.currency_id.id,
                        "partner_id": self.customer.id,
                        "state": "pending",
                        "invoice_ids": [Command.set(self.invoice.ids)],
                    }
                )
            )
        self.assertNext(self.invoice, "held", "03-15 S2", reason="transaction")
        with self.happens(self.invoice):
            transaction.state = "cancel"
        self.assertNext(self.invoice, "running", "03-15 S2")

    # ------------------------------------------------------------------------
    # CUSTOMERS
    # ------------------------------------------------------------------------

    def test_holds_open_and_close(self):
        """Followed at once: a person looks at the screen. The mark tells a delivery."""
        for fname, value, reason in (
            ("dunning_paused", True, "pause"),
            ("dunning_promise_date", to_date("03-20"), "promise"),
            ("dunning_disputed", True, "dispute"),
        ):
            with self.happens(self.invoice):
                self.invoice[fname] = value
            self.assertEqual(self.get_enrollment(self.invoice).hold_reason, reason)
            with self.happens(self.invoice):
                self.invoice[fname] = False
            self.assertNext(self.invoice, "running", "03-15 S2")
        with self.happens(self.invoice):
            self.customer.dunning_paused = True
        self.assertNext(self.invoice, "held", "03-15 S2", reason="pause")
        with self.happens(self.invoice):
            self.customer.dunning_hold_ids.unlink()
        self.assertNext(self.invoice, "running", "03-15 S2")

    def test_the_customer_moves(self):
        with self.happens(self.invoice):
            self.b.partner_ids = self.customer
        self.assertNext(self.invoice, "running", "03-10 B1")
        with self.happens(self.invoice):
            self.customer.dunning_policy = "none"
        self.assertNext(self.invoice, "stopped", reason="no_sequence")
        with self.happens(self.invoice):
            self.customer.write({"dunning_policy": False, "dunning_sequence_id": False})
        self.assertNext(self.invoice, "running", "03-15 S2")

    def test_addresses_come_and_go(self):
        self.travel("03-15")
        with self.happens(self.invoice):
            self.customer.email = False
        self.assertNext(self.invoice, "todo", "03-15 S2", reason="no_recipient")
        with self.happens(self.invoice):
            contact = self._create_contact(self.customer, "Bills", type="invoice")
        self.assertNext(self.invoice, "running", "03-15 S2")
        with self.happens(self.invoice):
            contact.unlink()
        self.assertNext(self.invoice, "todo", "03-15 S2", reason="no_recipient")

    def test_the_customer_joins_a_company_and_leaves_it(self):
        """Odoo leaves his invoices with the company."""
        group = self._create_customer("Group")
        self.b.partner_ids = group
        group.dunning_paused = True
        with self.happens(self.invoice):
            self.customer.write({"is_company": False, "parent_id": group.id})
        self.assertEqual(self.get_enrollment(self.invoice).partner_id, group)
        self.assertNext(self.invoice, "held", "03-10 B1", reason="pause")
        with self.happens(self.invoice):
            self.customer.write({"is_company": True, "parent_id": False})
        self.assertEqual(self.invoice.commercial_partner_id, group)
        self.assertNext(self.invoice, "held", "03-10 B1", reason="pause")

    def test_two_contacts_become_one(self):
        """Odoo merges them by SQL: history, holds and settings follow all the same."""
        twin = self._create_customer("Twin")
        theirs = self._create_invoice_due("03-02", customer=twin)
        self.b.partner_ids = twin
        self.customer.dunning_paused = True
        self.invoice.dunning_recipient_ids = self.customer
        reminder = self.get_last_reminder(self.invoice)
        with self.happens(self.invoice + theirs):
            self._merge(self.customer, twin)
        self.assertEqual(reminder.partner_id, twin)
        self.assertEqual(reminder.recipient_ids, twin)
        self.assertEqual(self.invoice.dunning_recipient_ids, twin)
        self.assertTrue(twin.dunning_paused)
        self.assertEqual(twin.dunning_sequence_id, self.b)
        for invoice in self.invoice + theirs:
            enrollment = self.get_enrollment(invoice)
            self.assertEqual(enrollment.partner_id, twin)
            self.assertEqual(enrollment.sequence_id, self.b)
            self.assertEqual(enrollment.hold_reason, "pause")
        twin.dunning_paused = False
        self.run_on("03-11..03-12")
        self.assertReminders(self.invoice, "03-08 S1", "03-11 B1")
        self.assertReminders(theirs, "03-11 B1")

    def test_the_policy_of_the_merged_fills_a_gap(self):
        twin = self._create_customer("Twin")
        theirs = self._create_invoice_due("03-02", customer=twin)
        self.customer.dunning_policy = "none"
        with self.happens(self.invoice + theirs):
            self._merge(self.customer, twin)
        self.assertEqual(twin.dunning_policy, "none")
        self.assertNext(theirs, "stopped", reason="no_sequence")

    def _merge(self, source, destination):
        wizard = self.env["base.partner.merge.automatic.wizard"]
        wizard._merge((source + destination).ids, destination)
        self.assertFalse(source.exists())

    # ------------------------------------------------------------------------
    # SETTINGS: they concern everybody who can follow the sequence
    # ------------------------------------------------------------------------

    def test_the_companys_default_changes(self):
        with self.happens(self.all):
            self.company.dunning_sequence_id = self.b
        self.assertNext(self.invoice, "running", "03-10 B1")
        with self.happens(self.all):
            self.company.dunning_from_date = to_date("02-15")
        self.assertNext(self.invoice, "stopped", reason="from_date")
        with self.happens(self.all):
            self.company.write(
                {"dunning_sequence_id": False, "dunning_from_date": False}
            )
        self.assertNext(self.invoice, "stopped", reason="no_sequence")

    def test_steps_are_edited_exchanged_added_and_deleted(self):
        first, second, third = self.a.step_ids
        with self.happens(self.all):
            second.delay = 17
        self.assertNext(self.invoice, "running", "03-18 S2")
        with self.happens(self.all):
            self.a.step_ids = [
                Command.update(second.id, {"sequence": 30, "delay": 21}),
                Command.update(third.id, {"sequence": 20, "delay": 14}),
            ]
        self.assertNext(self.invoice, "running", "03-15 S3")
        with self.happens(self.all):
            third.unlink()
        self.assertNext(self.invoice, "running", "03-22 S2")
        with self.happens(self.all):
            self.a.step_ids = [
                Command.create(
                    self._prepare_step("N", 2, {"delay": 11, "sequence": 15})
                )
            ]
        self.assertNext(self.invoice, "running", "03-12 N2")
        self.assertEqual(self.get_last_reminder(self.invoice).step_id, first)

    def test_the_sequence_stops_starts_and_goes_to_the_archive(self):
        with self.happens(self.all):
            self.a.action_stop()
        self.assertNext(self.invoice, "held", "03-15 S2", reason="sequence_off")
        with self.happens(self.all):
            self.a.action_start()
        self.assertNext(self.invoice, "running", "03-15 S2")
        with self.happens(self.all):
            self.a.active = False
        self.assertNext(self.invoice, "held", "03-15 S2", reason="sequence_off")

    def test_the_sequence_is_deleted(self):
        """Its customers follow the company's default again."""
        self.b.partner_ids = self.customer
        self.drain()
        self.b.action_stop()
        with self.happens(self.invoice):
            self.drain()
            self.b.unlink()
        self.assertNext(self.invoice, "running", "03-15 S2")

    def test_a_policy_of_the_sequence_changes(self):
        for fname, value, reason in (
            ("require_sent", True, "not_sent"),
            ("min_amount", 150, "min_amount"),
        ):
            with self.happens(self.all):
                self.a[fname] = value
            self.travel("03-15")
            self.root["dunning.enrollment"]._reconcile(self.all, self.today())
            self.assertNext(self.invoice, "held", "03-15 S2", reason=reason)
            with self.happens(self.all):
                self.a[fname] = False
            self.assertNext(self.invoice, "running", "03-15 S2")

    def test_days_off_change(self):
        """15 March is a Sunday, and the Monday after it becomes a holiday."""
        calendar = self.company.resource_calendar_id.copy()
        with self.happens(self.all):
            self.a.calendar_id = calendar
        self.assertNext(self.invoice, "running", "03-16 S2")
        with self.happens(self.all):
            holiday = self.env["resource.calendar.leaves"].create(
                {
                    "calendar_id": calendar.id,
                    "date_from": "2026-03-16 00:00:00",
                    "date_to": "2026-03-16 23:59:59",
                }
            )
        self.assertNext(self.invoice, "running", "03-17 S2")
        with self.happens(self.all):
            holiday.unlink()
        self.assertNext(self.invoice, "running", "03-16 S2")
        with self.happens(self.all):
            calendar.attendance_ids.filtered(lambda r: r.dayofweek == "0").unlink()
        self.assertNext(self.invoice, "running", "03-17 S2")

    # ------------------------------------------------------------------------
    # ONE INVOICE CONCERNS THE OTHERS OF ITS CUSTOMER
    # ------------------------------------------------------------------------

    def test_what_the_customer_owes_decides_about_all_his_invoices(self):
        self.a.min_amount = 150
        self.travel("03-15")
        self.drain()
        self.assertNext(self.invoice, "held", "03-15 S2", reason="min_amount")
        more = self._create_invoice_due("03-05", post=False)
        with self.happens(self.invoice + more):
            more.action_post()
        self.assertNext(self.invoice, "running", "03-15 S2")
        with self.happens(self.invoice + more):
            self.pay(more)
        self.assertNext(self.invoice, "held", "03-15 S2", reason="min_amount")
