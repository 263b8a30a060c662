"""What the demo holds against each other at the end.

Mails as they arrived, reminders as they were written, the books on the day of each
mail, and the story: who was to hear nothing, who approved what.
"""

import os
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

from dev import demo_data
from dev.inbox import Mail

SATURDAY = 5
INVOICE = re.compile(r"INV/\d{4}/\d+")


def get_inbox():
    return list(Path(os.environ["DUNNING_INBOX"]).glob("*.eml"))


def get_table(mail):
    """Return the parts of the mail's table of invoices, as HTML.

    What is asked for; then what else is overdue, and what is being clarified.
    """
    return re.findall(r"<tbody.*?</tbody>", mail.body("html") or "", re.DOTALL)


class Checks:
    def check(self, what, fine, *problems):
        if not fine:
            self.problems.append(what)
        print(f"  {'ok' if fine else 'WRONG':6} {what}")
        for problem in () if fine else problems[:5]:
            print(f"         {problem}")

    def check_none(self, what, problems):
        self.check(what, not problems, *problems)

    # --- on the day itself ------------------------------------------------------------

    def check_day(self, reminders):
        """Of what has just left: the books and the story are as on this day."""
        for reminder in reminders:
            if reminder.state == "sent":
                self.check_books(reminder)
                self.check_silence(reminder)

    def check_books(self, reminder):
        """At this moment each instalment in a mail is open, with that amount."""
        for line in reminder._get_current_lines():
            self.env.cr.execute(
                """
                SELECT SUM(amount_residual_currency) FROM account_move_line
                 WHERE move_id = %s AND date_maturity = %s
                   AND display_type = 'payment_term'
                """,
                [line.move_id.id, line.due_date],
            )
            (open_amount,) = self.env.cr.fetchone()
            if not open_amount or line.currency_id.compare_amounts(
                float(open_amount), line.amount
            ):
                self.problems_in_books.append(
                    f"{line.move_name}: {line.amount} asked for, {open_amount} open"
                )

    def check_silence(self, reminder):
        for line in reminder._get_current_lines():
            why = self.get_silence(line.move_id, self.day)
            if why:
                self.problems_of_silence.append(
                    f"day {self.day}: {line.move_name}, {reminder.step_name}: {why}"
                )

    # --- at the end -----------------------------------------------------------------

    def check_all(self):
        self.reminders = self.env["dunning.reminder"].search([])
        self.sent = self.reminders.filtered(lambda r: r.state == "sent")
        self.mailed = self.sent.filtered(lambda r: r.channel == "email")
        self.mails = [Mail(path) for path in get_inbox()]
        self.ids = [mail.header("Message-Id").strip() for mail in self.mails]
        self.by_id = dict(zip(self.ids, self.mails, strict=True))
        print("\nChecks")
        self.check_mails()
        self.check_books_and_silence()
        self.check_once()
        self.check_pace()
        self.check_downtime()
        self.check_week_ends()
        self.check_approved()
        self.check_letters_and_calls()
        self.check_holds()

    def check_mails(self):
        self.check(
            f"{len(self.mails)} mails in the inbox = {len(self.mailed)} reminders sent",
            len(self.mails) == len(self.mailed) > 0,
        )
        ids = set(self.ids)
        self.check(
            f"{len(ids)} different Message-Ids, the reminders' own",
            len(ids) == len(self.ids) and ids == set(self.mailed.mapped("message_id")),
        )
        self.check_none(
            "each mail went to those named on its reminder, and asks for its invoices",
            [
                f"{reminder.message_id}: {reminder.email_to}"
                for reminder in self.mailed
                if not self.is_as_said(reminder, self.by_id.get(reminder.message_id))
            ],
        )

    def is_as_said(self, reminder, mail):
        if not mail:
            return False
        named = ",".join(
            filter(None, (reminder.email_to, reminder.email_cc, reminder.email_bcc))
        )
        refused = set(re.findall(r"^(\S+@\S+): ", reminder.refused or "", re.MULTILINE))
        wanted = set(re.findall(r"[\w.+-]+@[\w.-]+", named)) - refused
        return set(mail.recipients) == wanted and self.is_table_right(reminder, mail)

    def is_table_right(self, reminder, mail):
        """Asked for are the reminder's invoices; the rest is the customer's, too."""
        asked, *others = get_table(mail)
        others = "".join(others)
        own = self.invoices[self.get_key(reminder.partner_id)]
        rows = re.compile(r"<tr>.*?</tr>", re.DOTALL)
        return (
            set(INVOICE.findall(asked))
            == set(reminder._get_current_lines().mapped("move_name"))
            and {move.name for move in own}.issuperset(INVOICE.findall(others))
            and not set(rows.findall(asked)) & set(rows.findall(others))
        )

    def check_books_and_silence(self):
        self.check_none(
            "nobody got a mail about what he had paid, and each amount was right",
            self.problems_in_books,
        )
        self.check_none(
            f"nobody was reminded while he was to hear nothing "
            f"({len(self.silences)} holds and exclusions)",
            self.problems_of_silence,
        )

    def check_once(self):
        steps = Counter(
            (line.move_name, str(line.due_date), line.step_id.name, line.occurrence)
            for line in self.get_done_lines()
        )
        self.check_none(
            "no instalment got a step twice", [k for k, n in steps.items() if n > 1]
        )
        days = Counter((r.grouping_key, str(r.sent_on)) for r in self.mailed)
        names = {r.grouping_key: r.partner_id.name for r in self.mailed}
        self.check_none(
            "no customer got two mails of one kind on a day",
            [(names[key], day) for (key, day), n in days.items() if n > 1],
        )
        lost = self.reminders.filtered(lambda r: r.state in ("queued", "doubtful"))
        self.check("no reminder is left behind or in doubt", not lost)

    # --- order and spacing -------------------------------------------------------

    def get_done_lines(self):
        """What was sent, recorded or skipped, of each instalment."""
        done = self.reminders.filtered(
            lambda r: r.state in ("sent", "recorded", "skipped")
        )
        return done.line_ids.filtered(lambda line: not line.dropped)

    def check_pace(self):
        """Of each instalment: steps one by one, as far apart as the sequence says."""
        jumps, haste = [], []
        for lines in self.group(self.get_done_lines()).values():
            for before, after in pairwise(lines.sorted("id")):
                days = (after.reminder_id.sent_on - before.reminder_id.sent_on).days
                about = f"{after.move_name}: {before.step_name}, {after.step_name}"
                if days < self.get_spacing(before, after):
                    haste.append(f"{about}: {days} days")
        for lines in self.group(self.reminders.line_ids).values():
            for sequence, steps in lines.step_id.grouped("sequence_id").items():
                numbers = sorted(sequence.step_ids.ids.index(step.id) for step in steps)
                if numbers != list(range(numbers[0], numbers[-1] + 1)):
                    jumps.append(f"{lines[0].move_name}: {steps.mapped('name')}")
        self.check_none("no instalment jumped over a step", jumps)
        self.check_none("none came sooner after the one before than planned", haste)

    def group(self, lines):
        return lines.grouped(lambda line: (line.move_id, line.due_date))

    def get_spacing(self, before, after):
        """Days that must lie between two reminders of an instalment, at least.

        A first one that came late on purpose moves no other; one that waited for
        Monday neither. After a move to another sequence: the next day.
        """
        sequence = after.step_id.sequence_id
        enrollment = self.env["dunning.enrollment"].search(
            [("move_id", "=", after.move_id.id), ("due_date", "=", after.due_date)]
        )
        if before.step_id.sequence_id != sequence or enrollment.catch_up == "latest":
            return 1
        nominal = 0
        for step in sequence.step_ids:
            nominal = step.delay + (nominal if step.trigger == "previous" else 0)
            if step == before.step_id:
                start = nominal
            if step == after.step_id:
                return nominal - start - (2 if sequence.calendar_id else 0)
        return 999  # in the wrong order

    def check_downtime(self):
        downtime = demo_data.DOWNTIME
        off = {self.date_of(day) for day in downtime}
        count = self.inbox_counts[downtime.start - 1]
        left = [r.message_id for r in self.reminders if r.sent_on in off]
        self.check(
            f"the {len(downtime)} days without a run: nothing left",
            not left and self.inbox_counts[downtime.stop - 1] == count,
            *left,
        )
        self.check_after_downtime(downtime)

    def check_after_downtime(self, downtime):
        """What was missed comes at the sequence's pace: no two steps in a week."""
        after = [self.date_of(day) for day in range(downtime.stop, downtime.stop + 14)]
        bursts = Counter(
            (line.move_name, str(line.due_date), line.step_id.sequence_id.name)
            for line in self.mailed.line_ids
            if not line.dropped and line.reminder_id.sent_on in after
        )
        missed = self.mailed.filtered(lambda r: r.sent_on == after[0])
        self.check(
            "on the day after them mails left again, and no burst in two weeks",
            missed and max(bursts.values()) <= 2,
            *(key for key, n in bursts.items() if n > 2),
        )

    # --- people ------------------------------------------------------------------

    def check_week_ends(self):
        trade = self.sequences["trade"]
        mailed = self.mailed.filtered(lambda r: r.sequence_id == trade)
        self.check(
            f"none of the {len(mailed)} mails to trade customers left at a week-end",
            mailed and all(r.sent_on.weekday() < SATURDAY for r in mailed),
            *(f"{r.message_id}: {r.sent_on}" for r in mailed if self.is_week_end(r)),
        )

    def is_week_end(self, reminder):
        return reminder.sent_on.weekday() >= SATURDAY

    def check_approved(self):
        left = self.mailed.filtered(lambda r: r.step_id.mode == "approval")
        mails = Counter(self.ids)
        wrong = [r.message_id for r in left if mails[r.message_id] != 1]
        self.check(
            f"the {len(self.approved)} approved ones left once each, and no other one",
            self.approved and set(left.ids) == self.approved and not wrong,
            *wrong,
        )

    def check_letters_and_calls(self):
        letters = self.reminders.filtered(lambda r: r.channel == "letter")
        counted = {r.id: r.sent_on for r in letters if r.sent_on}
        self.check(
            f"{len(self.printed)} letters count from the day of printing",
            self.printed and counted == self.printed,
        )
        recorded = self.reminders.filtered(lambda r: r.state == "recorded")
        recorded = [(r.move_id.id, r.step_name, r.sent_on) for r in recorded]
        self.check(
            f"{len(self.done_by_hand)} calls and visits count from the day itself",
            self.done_by_hand and sorted(recorded) == sorted(self.done_by_hand),
        )

    def check_holds(self):
        outcomes = [self.get_promise_outcome(*promise) for promise in self.promises]
        self.check(
            "one promise kept; one broken, the accountant told, the reminders went on",
            sorted(outcomes) == ["broken", "kept"],
            *outcomes,
        )
        disputed = [s[1] for s in self.silences if s[0] == "dispute"]
        self.check(
            "what was disputed stood apart in a mail about other invoices",
            disputed and all(map(self.is_shown_apart, disputed)),
        )
        self.check(
            "the cheque that bounced: the reminders went on where they were",
            self.bounced_cheques
            and all(
                self.date_of(day) <= max(self.get_days(move))
                for move, day in self.bounced_cheques
            ),
        )

    def get_promise_outcome(self, move, day):
        """Kept or broken, by the books; else what is wrong with it."""
        promise = move.dunning_hold_ids.filtered(lambda h: h.kind == "promise")
        if promise.outcome == "kept":
            paid = move.payment_state in ("paid", "in_payment")
            return "kept" if paid else f"{move.name} is not paid"
        told = self.accountant in move.activity_ids.user_id
        later = max(self.get_days(move)) > self.date_of(day + demo_data.GRACE)
        fine = told and later and promise.outcome == "broken"
        return "broken" if fine else f"{move.name}: {promise.outcome}"

    def get_days(self, move):
        """The days on which something was said or done about an invoice."""
        done = self.get_done_lines().filtered(lambda line: line.move_id == move)
        return done.reminder_id.mapped("sent_on") or [self.date_of(-999)]

    def is_shown_apart(self, move):
        """In the last part of a table, which has no total."""
        tables = [get_table(mail) for mail in self.mails]
        return any(
            len(table) > 1 and move.name in table[-1] and "bold" not in table[-1]
            for table in tables
        )
