from datetime import date, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from odoo import Command
from odoo.tests import BaseCase, tagged

from ..tools import plan
from .common import DunningCommon
from .test_plan import (
    DUE,
    Sent,
    at,
    catch_ups,
    entry_days,
    get_last,
    repeatable,
    rhythms,
)

#: Week-ends, and any other days.
days_off = st.sets(st.integers(-100, 300)).map(
    lambda days: frozenset(
        day
        for day in map(at, range(-100, 600))
        if day.weekday() >= 5 or (day - DUE).days in days
    )
)


@tagged("post_install", "-at_install")
class TestCalendarPlan(BaseCase):
    """Days off, tried at random."""

    @repeatable
    @given(rhythms(), entry_days, catch_ups, days_off)
    def test_steps_go_in_order_and_never_on_a_day_off(self, steps, since, how, off):
        entry = plan.enter(steps, DUE, since, how)
        sent, today = [], since
        while coming := plan.following(steps, DUE, entry, get_last(sent), off):
            coming = plan.not_on(coming, max(today, coming.date), off)
            today = max(today, coming.date)
            sent.append(Sent(coming.step_id, coming.occurrence, today))
            self.assertLess(len(sent), 100)
        for one in sent:
            if plan.next_working_day(one.sent_on, off) != one.sent_on:
                self.fail("sent on a day off")
        for before, after in pairwise(sent):
            self.assertLess(before.sent_on, after.sent_on)
        numbers = [(one.step_id, one.occurrence) for one in sent]
        self.assertEqual(numbers, sorted(set(numbers)))

    def test_a_calendar_without_a_working_day_does_not_wait_for_ever(self):
        off = frozenset(DUE + timedelta(days=n) for n in range(1000))
        self.assertEqual(plan.next_working_day(DUE, off), DUE)


class TestCalendar(DunningCommon):
    """Nothing leaves at the week-end or on a holiday; the steps keep their names.

    In March 2026 the 1st, 8th, 15th… are Sundays.
    """

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.calendar = cls.env["resource.calendar"].create(
            {
                "name": "Monday to Friday",
                "company_id": cls.company.id,
                "tz": "UTC",
                "attendance_ids": [
                    Command.create(
                        {
                            "name": "Day",
                            "dayofweek": str(weekday),
                            "hour_from": 9,
                            "hour_to": 17,
                        }
                    )
                    for weekday in range(5)
                ],
            }
        )

    def _add_holiday(self, day):
        self.env["resource.calendar.leaves"].create(
            {
                "name": "Holiday",
                "calendar_id": self.calendar.id,
                "date_from": datetime.combine(day, datetime.min.time()),
                "date_to": datetime.combine(day, datetime.max.time()),
            }
        )

    def test_after_the_due_date_a_step_moves_to_the_next_working_day(self):
        self._create_default((7,), calendar_id=self.calendar.id)
        invoice = self._create_invoice_due("03-01")
        self.run_day("03-05")
        self.assertNext(invoice, "running", "03-09 S1")
        self.run_on("03-06..03-12")
        self.assertReminders(invoice, "03-09 S1")

    def test_before_the_due_date_a_step_moves_back(self):
        self._create_default((-3,), calendar_id=self.calendar.id)
        invoice = self._create_invoice_due("03-11")  # three days before: a Sunday
        self.run_on("03-02..03-11")
        self.assertReminders(invoice, "03-06 S1")

    def test_the_steps_that_follow_keep_their_own_dates(self):
        self._create_default((7,), (10,), (14,), calendar_id=self.calendar.id)
        invoice = self._create_invoice_due("03-01")
        self.run_on("03-02..03-20")
        self.assertReminders(invoice, "03-09 S1", "03-11 S2", "03-16 S3")

    def test_a_holiday_is_no_working_day(self):
        self._create_default((7,), calendar_id=self.calendar.id)
        self._add_holiday(date(2026, 3, 9))
        invoice = self._create_invoice_due("03-01")
        self.run_on("03-02..03-12")
        self.assertReminders(invoice, "03-10 S1")

    def test_what_is_due_at_the_week_end_after_an_outage_waits_for_monday(self):
        self._create_default((4,), calendar_id=self.calendar.id)
        invoice = self._create_invoice_due("03-01")
        self.run_on("03-03", "03-07", "03-08")
        self.assertReminders(invoice)
        self.assertNext(invoice, "running", "03-09 S1")
        self.run_day("03-09")
        self.assertReminders(invoice, "03-09 S1")

    def test_what_the_server_did_not_take_on_friday_leaves_on_monday(self):
        self._create_default((5,), calendar_id=self.calendar.id)
        invoice = self._create_invoice_due("03-01")
        with self.server_down():
            self.run_day("03-06")
        self.travel("03-07", 12)
        self.deliver()
        self.assertFalse(self.sink.mails)
        self.travel("03-09", 12)
        self.deliver()
        self.assertReminders(invoice, "03-09 S1")

    def test_by_hand_a_person_may_remind_on_a_sunday(self):
        self._create_default((7,), calendar_id=self.calendar.id)
        invoice = self._create_invoice_due("03-01")
        self.run_day("03-08")
        invoice.action_dunning_remind()
        self.deliver()
        self.assertReminders(invoice, "03-08 S1")

    def test_a_manual_step_is_to_do_on_a_working_day(self):
        step = {"delay": 7, "mode": "manual"}
        self._create_default(step, calendar_id=self.calendar.id)
        invoice = self._create_invoice_due("03-01")
        self.run_day("03-08")
        self.assertNext(invoice, "running", "03-09 S1")
        self.run_day("03-09")
        self.assertNext(invoice, "todo", "03-09 S1", "manual")

    def test_a_calendar_without_any_hour_is_as_none(self):
        self.calendar.attendance_ids.unlink()
        self._create_default((7,), calendar_id=self.calendar.id)
        invoice = self._create_invoice_due("03-01")
        self.run_day("03-08")
        self.assertReminders(invoice, "03-08 S1")

    def test_without_a_calendar_sunday_is_a_day_as_any_other(self):
        self._create_default((7,))
        invoice = self._create_invoice_due("03-01")
        self.run_on("03-02..03-12")
        self.assertReminders(invoice, "03-08 S1")
