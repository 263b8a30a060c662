from datetime import date, datetime, timedelta

from odoo.tests import tagged

from .common import DunningCommon


@tagged("post_install", "-at_install")
class TestTime(DunningCommon):
    """What calendars and clocks can do to a reminder."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.crons = [
            cls.env.ref(f"dunning_sequences.ir_cron_dunning_{name}").sudo()
            for name in ("reconcile", "run", "send")
        ]

    def run_crons(self, moment, *names):
        """The crons, or some of them, as the scheduler starts them.

        :param moment: UTC, "2026-03-28 23:30"
        """
        self.clock.move_to(datetime.fromisoformat(moment))
        self.commit()
        for cron in self.crons:
            name = cron.get_external_id()[cron.id].rpartition("_")[2]
            if not names or name in names:
                cron.method_direct_trigger()
        self.env.invalidate_all()

    def get_days(self, invoice):
        lines = invoice.dunning_reminder_line_ids.filtered("counts").sorted("id")
        return [f"{line.sent_on or line.date} {line.step_name}" for line in lines]

    def test_in_the_night_when_the_clock_changes(self):
        """From 2:00 to 3:00 an hour is missing in March, and comes twice in October."""
        self.company.write(
            {
                "dunning_tz": "Europe/Paris",
                "dunning_hour_from": 2.0,
                "dunning_hour_to": 3.0,
            }
        )
        self._create_default((7,), (8,), (9,))
        spring = self._create_invoice_due(date(2026, 3, 21))
        for moment in (
            "2026-03-28 00:30",  # 1:30
            "2026-03-28 01:30",  # 2:30: due since today
            "2026-03-29 00:30",  # 1:30
            "2026-03-29 01:30",  # 3:30 already: there is no 2:30 today
            "2026-03-30 00:30",  # 2:30, of tomorrow
            "2026-03-31 00:30",
        ):
            self.run_crons(moment)
        self.assertEqual(
            self.get_days(spring), ["2026-03-28 S1", "2026-03-30 S2", "2026-03-31 S3"]
        )
        autumn = self._create_invoice_due(date(2026, 10, 18))
        for moment in (
            "2026-10-24 23:30",  # 1:30 of the 25th
            "2026-10-25 00:30",  # 2:30
            "2026-10-25 01:30",  # 2:30 again
            "2026-10-25 02:30",  # 3:30
            "2026-10-26 01:30",  # 2:30
        ):
            self.run_crons(moment)
        self.assertEqual(self.get_days(autumn), ["2026-10-25 S1", "2026-10-26 S2"])

    def test_written_before_midnight_and_sent_after_it(self):
        """It is of the day on which it leaves, and the next one of the day after."""
        self.company.write({"dunning_hour_from": 0.0, "dunning_hour_to": 24.0})
        self._create_default((7,), (8,))
        invoice = self._create_invoice_due("03-01")
        self.run_crons("2026-03-08 23:59:58", "reconcile", "run")
        self.assertEqual(self.get_days(invoice), ["2026-03-08 S1"])
        self.run_crons("2026-03-09 00:00:01", "send", "run")
        self.assertEqual(self.get_days(invoice), ["2026-03-09 S1"])
        self.assertIn("8 days", self.get_text(self.sink.mails[0]))
        self.run_crons("2026-03-09 12:00")
        self.assertNext(invoice, "running", "03-10 S2")
        self.run_crons("2026-03-10 00:00:01")
        self.assertEqual(self.get_days(invoice), ["2026-03-09 S1", "2026-03-10 S2"])
        self.assertEqual(self.get_subjects(), ["S1", "S2"])

    def test_a_clock_behind_the_one_that_wrote_it(self):
        """Two hosts around midnight: nothing leaves before its day, nor twice on it."""
        self.company.write({"dunning_hour_from": 0.0, "dunning_hour_to": 24.0})
        self._create_default((7,), (8,))
        invoice = self._create_invoice_due("03-01")
        self.run_crons("2026-03-08 10:00")
        self.run_crons("2026-03-09 00:10", "run")
        self.run_crons("2026-03-08 23:50")
        self.assertEqual(self.get_days(invoice), ["2026-03-08 S1", "2026-03-09 S2"])
        self.run_crons("2026-03-09 00:10")
        self.assertEqual(self.get_subjects(), ["S1", "S2"])

    def test_the_29th_of_february_and_the_ends_of_months(self):
        self._create_default(
            (0,), {"delay": 1}, {"delay": 30, "repeat_every": 30, "repeat_max": 2}
        )
        self.travel(date(2028, 1, 3))
        leap = self._create_invoice_due(date(2028, 2, 29))
        end = self._create_invoice_due(
            date(2028, 1, 31), customer=self._create_customer("End")
        )
        day = date(2028, 1, 31)
        while day <= date(2028, 6, 1):
            if day.day in (1, 28, 29, 30, 31) or end.dunning_next_date == day:
                self.run_day(day)
            day += timedelta(days=1)
        self.assertEqual(
            self.get_days(end),
            [
                "2028-01-31 S1",
                "2028-02-01 S2",
                "2028-03-01 S3",
                "2028-03-31 S3",
                "2028-04-30 S3",
            ],
        )
        self.assertEqual(
            self.get_days(leap)[:3], ["2028-02-29 S1", "2028-03-01 S2", "2028-03-30 S3"]
        )

    def test_from_the_first_to_the_last_day_that_there_is(self):
        """Typing errors and old books: far dates stop neither the run nor a form."""
        longest = 3650
        sequence = self._create_sequence(
            [(-longest,), (7,), (longest,)], catch_up="first"
        )
        self.company.dunning_sequence_id = sequence
        days = ("1900-01-01", "2999-12-31", "9999-12-31")
        far = {day: self._create_far(day) for day in days}
        usual = self._create_invoice_due("03-01")
        early = self._create_invoice_due(
            "03-01",
            invoice_date=date(2026, 3, 2),
            customer=self._create_customer("Early"),
        )
        self.run_on("03-08..03-09")
        self.assertTrue(self.get_days(usual))
        self.assertTrue(self.get_days(early), "due before it was written")
        self.assertEqual(self.get_days(far["1900-01-01"])[0], "2026-03-08 S1")
        for day in days[1:]:
            self.assertFalse(self.get_days(far[day]), "it is not even near")
            self.assertTrue(far[day].dunning_status)
        for invoice, day in ((far["9999-12-31"], "2999-12-31"), (usual, "9999-12-31")):
            self.change_due_date(invoice, date.fromisoformat(day))
        self.run_on("03-10")
        self.assertTrue(far["9999-12-31"].dunning_enrollment_ids)
        self.assertEqual(usual.dunning_enrollment_ids.due_date, date.max)

    def _create_far(self, day):
        return self._create_invoice_due(
            date.fromisoformat(day),
            invoice_date=date(2026, 1, 2),
            customer=self._create_customer(f"Far {day}"),
        )
