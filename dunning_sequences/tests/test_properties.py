import os
from collections import Counter
from datetime import timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from odoo import Command
from odoo.tests import tagged

from .common import DunningCommon

#: More of them, when somebody has the time: DUNNING_EXAMPLES=500.
EXAMPLES = int(os.environ.get("DUNNING_EXAMPLES", "10"))

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

which = st.integers(0, 2)
days = st.integers(1, 12)

#: One thing that happens: (name of the method, its arguments).
events = st.one_of(
    st.tuples(st.just("run"), days),
    st.tuples(st.just("run"), days),
    st.tuples(st.just("run_with_server_down"), days),
    st.tuples(st.just("compose_only"), days),
    st.tuples(st.just("deliver_only")),
    st.tuples(st.just("outage"), days),
    st.tuples(st.just("post"), which, st.integers(-20, 15), st.booleans()),
    st.tuples(st.just("pay"), which, st.sampled_from((None, 40))),
    st.tuples(st.just("unreconcile_all"), which),
    st.tuples(st.just("draft"), which),
    st.tuples(st.just("post_again"), which),
    st.tuples(st.just("change_due"), which, st.integers(-15, 15)),
    st.tuples(st.just("pause"), which, st.none() | st.integers(0, 9)),
    st.tuples(st.just("resume"), which),
    st.tuples(st.just("pause_customer"), which, st.booleans()),
    st.tuples(st.just("move"), which, st.sampled_from(("a", "b", "none", "default"))),
    st.tuples(
        st.just("move_invoice"), which, st.sampled_from(("b", "none", "default"))
    ),
    st.tuples(st.just("edit_steps"), st.integers(-3, 6)),
    st.tuples(st.just("delete_step")),
    st.tuples(st.just("add_step"), st.integers(1, 30)),
    st.tuples(st.just("stop")),
    st.tuples(st.just("start")),
    st.tuples(st.just("lose_address"), which, st.booleans()),
    st.tuples(st.just("bounce"), which),
    st.tuples(st.just("retry"), which),
)


class World:
    """Three customers with an invoice each, two sequences, and what can happen."""

    def __init__(self, test):
        self.test = test
        self.a = test._create_default((-2,), (5,), (12,), (20,))
        repeating = {"delay": 15, "repeat_every": 6, "repeat_max": 2}
        self.b = test._create_sequence([(3,), (4, "previous"), repeating], prefix="B")
        self.customers = [test._create_customer(f"W{i}") for i in range(3)]
        self.invoices = {}
        self.older = test.env["account.move"]
        self.paid = {}
        test.travel("02-01")
        for i in range(3):
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

    def unreconcile_all(self, i):
        self.test.unreconcile(self.invoices[i])

    def draft(self, i):
        if self.invoices[i].state == "posted":
            self.invoices[i].button_draft()

    def post_again(self, i):
        if self.invoices[i].state == "draft":
            self.invoices[i].action_post()

    def change_due(self, i, number):
        invoice = self.invoices[i]
        if invoice.state == "posted":
            invoice.button_draft()
        invoice.invoice_payment_term_id = False
        invoice.invoice_date_due = self.test.today() + timedelta(days=number)
        invoice.action_post()

    # --- people ---

    def pause(self, i, number):
        until = number is not None and self.test.today() + timedelta(days=number)
        self.invoices[i].write({"dunning_paused": True, "dunning_pause_until": until})

    def resume(self, i):
        self.invoices[i].dunning_paused = False

    def pause_customer(self, i, paused):
        self.customers[i].dunning_paused = paused

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

    def lose_address(self, i, lost):
        self.customers[i].email = False if lost else f"w{i}@customer.example.com"

    def bounce(self, i):
        reminder = self.test.get_last_reminder(self.invoices[i])
        self.test.root["dunning.reminder"]._register_bounce(
            reminder.mapped("message_id"), f"w{i}@customer.example.com"
        )
        self.test.env.invalidate_all()

    def retry(self, i):
        reminder = self.test.get_last_reminder(self.invoices[i])
        if reminder.state in ("failed", "bounced"):
            reminder.action_retry()

    # --- the sequence ---

    def edit_steps(self, number):
        self.a.step_ids = [
            Command.update(step.id, {"delay": step.delay + number})
            for step in self.a.step_ids
        ]

    def delete_step(self):
        if len(self.a.step_ids) > 1:
            self.a.step_ids[1].unlink()

    def add_step(self, delay):
        if delay not in self.a.step_ids.mapped("delay"):
            steps = self.a.step_ids
            number = len(steps.filtered(lambda s: s.delay < delay))
            before = steps[number - 1].sequence if number else 0
            after = steps[number].sequence if number < len(steps) else before + 20
            if after - before > 1:
                self.a.step_ids = [
                    Command.create(
                        {
                            **self.test._prepare_step("N", delay, (delay,)),
                            "sequence": (before + after) // 2,
                        }
                    )
                ]

    def stop(self):
        self.a.action_stop()

    def start(self):
        if self.a.state != "running":
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
            told = lines.filtered(lambda r: r.move_id == invoice and r.sent_on)
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
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(events, min_size=6, max_size=14))
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
