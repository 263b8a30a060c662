"""Run in `odoo shell` by dev/demo: what a company's payment reminders live through.

Each day: invoices are written, customers pay, `_run` decides and writes, the
accountant approves, prints and calls, more customers pay, `_deliver` hands the mails
to a real SMTP server, which keeps them. For two weeks nothing runs at all. Told is
what happened; at the end the mails received are held against what the reminders say,
what was due against the books, and who was reminded against the story.
"""

import logging
import sys
from collections import defaultdict
from datetime import datetime, time, timedelta
from pathlib import Path
from unittest.mock import patch

from freezegun import freeze_time
from freezegun.api import real_perf_counter as real_clock

import odoo
from odoo import fields
from odoo.tools import config

import odoo.addons.dunning_sequences as addon

sys.path.insert(0, str(Path(addon.__file__).resolve().parents[1]))
from dev import demo_data  # noqa: E402
from dev.demo_checks import Checks, get_inbox  # noqa: E402
from dev.demo_company import Company  # noqa: E402
from dev.demo_people import People  # noqa: E402
from dev.demo_telling import Telling  # noqa: E402


class Warnings(logging.Handler):
    """Nothing may be worth a warning."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.texts = []
        logging.getLogger().addHandler(self)

    def emit(self, record):
        self.texts.append(f"{record.name}: {record.getMessage()}")


class Demo(Company, People, Telling, Checks):
    def __init__(self, env):
        self.engine = env  # as the crons: OdooBot
        self.env = env(user=env.ref("base.user_admin"))
        self.company = self.env.company
        self.customers, self.invoices = {}, defaultdict(list)
        self.sequences, self.payments = {}, defaultdict(list)
        self.told_day, self.standing = None, {}
        self.told_cancelled = self.env["dunning.reminder"]
        self.told_promises = self.env["dunning.hold"]
        # What the story knows, for the checks.
        self.silences, self.promises, self.bounced_cheques = [], [], []
        self.approved, self.printed, self.done_by_hand = set(), {}, []
        self.waiting_since, self.inbox_counts = {}, {}
        self.seconds, self.problems = [], []
        self.problems_in_books, self.problems_of_silence = [], []

    # --- the clock ----------------------------------------------------------

    def moment(self, day):
        """In UTC, at nine or ten in Paris; the last day is today, and not later."""
        return min(datetime.combine(self.date_of(day), time(8)), self.now)

    def go_to(self, day):
        self.day, self.date = day, self.moment(day).date()
        if day == demo_data.DAYS:
            self.date = self.today
        self.clock.move_to(self.moment(day))

    def date_of(self, day):
        return self.today - timedelta(days=demo_data.DAYS - day)

    # --- the days -------------------------------------------------------------

    def play(self):
        for day in range(1, demo_data.DAYS + 1):
            self.go_to(day)
            self.write_invoices()
            self.act()
            self.receive_payments()
            if day in demo_data.DOWNTIME:
                self.stand_still()
            else:
                self.play_engine()
            self.env.cr.commit()
            self.inbox_counts[day] = len(get_inbox())

    def stand_still(self):
        self.receive_payments(late=True)
        if self.day == demo_data.DOWNTIME.start:
            days = len(demo_data.DOWNTIME)
            self.tell("downtime", f"nothing runs for {days} days")

    def play_engine(self):
        spent, written = self.measure(self.run)
        self.tell_promises()
        self.tell_waiting(written)
        self.decide()
        self.receive_payments(late=True)
        spent_delivering, delivered = self.measure(self.deliver)
        self.seconds.append((spent, spent_delivering))
        for reminder in delivered:
            self.tell_reminder(reminder)
        self.check_day(delivered)
        self.tell_overtaken()
        self.tell_held()

    def measure(self, function):
        """Return the seconds that it took, and its result; each in a transaction."""
        self.env.cr.commit()
        start = real_clock()
        result = function()
        self.env.cr.commit()
        return real_clock() - start, result

    def run(self):
        return self.engine["dunning.enrollment"]._run(today=self.date)

    def deliver(self):
        deliver = self.engine["dunning.reminder"]._deliver
        if self.day != demo_data.MAIL_SERVER_DOWN:
            return deliver(now=self.moment(self.day))
        with patch.dict(config.options, {"smtp_port": 9}):
            return deliver(now=self.moment(self.day))

    def main(self):
        started = real_clock()
        warnings = Warnings()
        self.now = fields.Datetime.now()
        self.company.dunning_tz = "Europe/Paris"
        self.today = self.company._dunning_today(self.now)
        with (
            freeze_time(self.moment(0)) as self.clock,
            patch.object(
                odoo.sql_db.BaseCursor, "now", lambda _cr: fields.Datetime.now()
            ),
        ):
            self.go_to(0)
            self.set_up()
            print(
                f"{self.company.name}: {demo_data.DAYS} days, "
                f"{self.date_of(1)} to {self.today}\n"
            )
            self.play()
            again = self.run() + self.deliver()
            self.env.cr.commit()
        self.tell_totals()
        self.check_all()
        self.check("run once more on the last day: nothing leaves", not again)
        self.check("no warning in Odoo's log", not warnings.texts, *warnings.texts)
        self.tell_seconds(real_clock() - started)
        return 1 if self.problems else 0


sys.stdout.reconfigure(line_buffering=True)
status = Demo(env).main()
sys.stdout.flush()
if status:
    sys.exit(status)
