import contextlib
import os
from collections import Counter
from datetime import timedelta

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from odoo import Command
from odoo.exceptions import UserError
from odoo.tests import tagged

from .common import DunningCommon

#: More of them, and the shortest series that fails, when somebody has the time:
#: DUNNING_EXAMPLES=500.
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
)


class World:
    """Two customers with an invoice each, two sequences, and what can happen."""

    def __init__(self, test):
        self.test = test
        self.a = test._create_default((-2,), (5,), (12,), (20,))
        approved = {"delay": 4, "trigger": "previous", "mode": "approval"}
        repeating = {"delay": 15, "repeat_every": 6, "repeat_max": 2}
        self.b = test._create_sequence([(3,), approved, repeating], prefix="B")
        self.customers = [test._create_customer(f"W{i}") for i in range(2)]
        self.invoices = {}
        self.older = test.env["account.move"]
        self.paid = {}
        test.travel("02-01")
        for i in range(2):
            self.post(i, 5 * i, False)

    # --- time ---

    def forward(self, number):
        self.test.travel(self.test.today() + timedelta(days=number))

    def run(self, number):
        self.forward(number)
        self.test.run_day()
        self.assert_nothing_is_stuck()

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
            self.invoices[i].action_post()

    def change_due(self, i, number):
        invoice = self.invoices[i]
        if invoice.state == "posted":
            invoice.button_draft()
        invoice.invoice_payment_term_id = False
        invoice.invoice_date_due = self.test.today() + timedelta(days=number)
        invoice.action_post()

    # --- people ---

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
        customer = self.customers[i]
        customer.dunning_paused = not customer.dunning_paused

    def move(self, i, where):
        self._move(self.customers[i], where)

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
        self.test.root["dunning.reminder"]._register_bounce(
            reminder.filtered("sent_on").mapped("message_id"),
            {f"w{i}@customer.example.com"},
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

    # --- what must hold whatever happened ---

    def get_invoices(self):
        return self.older.union(*self.invoices.values())

    def reconcile_all(self):
        self.test.commit()
        self.test.root["dunning.enrollment"]._reconcile(today=self.test.today())
        self.test.env.invalidate_all()

    def get_decisions(self):
        enrollments = self.test.Enrollment.search(
            [("partner_id", "in", [customer.id for customer in self.customers])],
            order="move_id, due_date",
        )
        return enrollments.read(DECIDED)

    def assert_incremental_is_complete(self):
        """What the marks led to is what a look at everything leads to."""
        self.test.drain()
        before = self.get_decisions()
        self.reconcile_all()
        self.test.assertEqual(self.get_decisions(), before)

    def assert_history_is_sound(self):
        lines = self.test.env["dunning.reminder.line"].search(
            [
                ("partner_id", "in", [c.id for c in self.customers]),
                ("counts", "=", True),
            ]
        )
        keys = Counter((r.move_id, r.due_date, r.step_id, r.occurrence) for r in lines)
        twice = [key for key, times in keys.items() if times > 1 and key[2]]
        self.test.assertFalse(twice, "said twice")
        reminders = lines.reminder_id.filtered(lambda r: r.state == "sent")
        arrived = Counter(mail["Message-Id"] for mail in self.test.sink.mails)
        self.test.assertEqual(
            sorted(r.message_id for r in reminders),
            sorted(m for m in arrived if m in set(reminders.mapped("message_id"))),
        )
        self.test.assertEqual(set(arrived.values()) - {1}, set(), "arrived twice")
        for invoice in self.get_invoices():
            told = (lines & invoice.dunning_reminder_line_ids).filtered("sent_on")
            per_day = Counter((r.due_date, r.sent_on) for r in told)
            self.test.assertFalse([key for key, n in per_day.items() if n > 1])

    def assert_nobody_is_told_after_paying(self):
        for invoice in self.get_invoices():
            told = len(self.test.get_reminders(invoice))
            if invoice.state == "posted" and invoice.payment_state == "paid":
                self.test.assertLessEqual(told, self.paid.setdefault(invoice, told))
            else:
                self.paid.pop(invoice, None)

    def assert_nothing_is_stuck(self):
        """What a run leaves behind has a reason, or lies ahead.

        Or its customer got a mail today: one a day is enough.
        """
        today = self.test.today()
        told = self.test.Reminder.search(
            [("date", "=", today), ("state", "in", ("queued", "sent", "doubtful"))]
        )
        stuck = self.test.Enrollment.search(
            [
                ("state", "=", "running"),
                ("next_date", "<=", today),
                ("partner_id", "not in", told.partner_id.ids),
            ]
        )
        self.test.assertFalse(stuck.read(DECIDED), "due, and nothing holds it")


@tagged("post_install", "-at_install")
class TestProperties(DunningCommon):
    """Whatever happens, in whatever order."""

    @settings(
        max_examples=EXAMPLES or 8,
        phases=(Phase.generate, Phase.shrink) if EXAMPLES else (Phase.generate,),
        report_multiple_bugs=False,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(events, min_size=12, max_size=20))
    def test_any_series_of_events(self, series):
        self.commit()
        with self.env.cr.savepoint() as savepoint:
            self.sink.clear()
            world = World(self)
            for name, *args in series:
                getattr(world, name)(*args)
                self.commit()
                world.assert_nobody_is_told_after_paying()
                world.assert_incremental_is_complete()
                world.assert_history_is_sound()
            savepoint.rollback()
        self.env.cr.precommit.clear()
