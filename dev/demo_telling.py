"""What the demo prints: the days, and the totals at the end."""

import textwrap
from collections import Counter, defaultdict

from odoo.tools import formatLang

from dev import demo_data

#: Told otherwise: as what it is that waits.
REASONS_NOT_TOLD = ("leaving", "approval", "letter", "activity")
WORDS = {
    "queued": "not yet",
    "to_approve": "to approve",
    "to_print": "to print",
    "to_do": "to call",
}


class Telling:
    def tell(self, what, about="", rest=""):
        head = " " * 18
        if self.told_day != self.day:
            self.told_day = self.day
            head = f"day {self.day:2}  {self.date}"
        print(f"{head}  {what:15}  {about:40} {rest}".rstrip())

    def tell_reminder(self, reminder):
        about = self.get_about(reminder)
        if reminder.state == "sent":
            to = "-> " + reminder.email_to.replace('"', "")
            if reminder.email_cc:
                to += f", cc {reminder.email_cc}"
            if reminder.refused:
                to += f", refused {self.first_line(reminder.refused.split()[1])}"
            self.tell(reminder.step_name, about, to)
        else:
            what = WORDS.get(reminder.state, reminder.state)
            reason = self.first_line(reminder.failure_reason)
            who = reminder.partner_id.name
            self.tell(what, about, f"{who}, {reminder.step_name}: {reason}")

    def tell_decision(self, what, reminder):
        """What waits for a person, or what she did with it."""
        rest = f"{reminder.partner_id.name}, {reminder.step_name}"
        if reminder.state == "sent":  # a letter
            rest += f", to {reminder._get_letter_address().name}"
        self.tell(what, self.get_about(reminder), rest)

    def tell_waiting(self, reminders):
        """What was written today, and waits for a person."""
        for reminder in reminders:
            if reminder.state in ("to_approve", "to_print", "to_do"):
                self.tell_decision(WORDS[reminder.state], reminder)

    def tell_overtaken(self):
        cancelled = self.env["dunning.reminder"].search([("state", "=", "cancelled")])
        for reminder in cancelled - self.told_cancelled:
            if reminder.step_id.mode == "approval" or reminder.channel != "email":
                lines = reminder.line_ids
                rest = f"{reminder.partner_id.name}, {reminder.step_name}: "
                rest += self.first_line(reminder.failure_reason)
                self.tell("cancelled", self.numbers(lines.move_id), rest)
        self.told_cancelled = cancelled

    def tell_promises(self):
        closed = self.env["dunning.hold"].search(
            [("kind", "=", "promise"), ("outcome", "!=", False)]
        )
        for promise in closed - self.told_promises:
            move = promise.move_ids
            told = move.activity_ids.filtered("automated").user_id.mapped("name")
            rest = f", {', '.join(told)} is told" if told else ""
            what = f"promise {promise.outcome}"
            self.tell(what, move.name, f"{self.who(move)}, of {promise.until}{rest}")
        self.told_promises = closed

    def tell_held(self):
        """Who waits since today, and why."""
        enrollments = self.env["dunning.enrollment"].search(
            [], order="move_id, due_date"
        )
        news = defaultdict(lambda: self.env["account.move"])
        for enrollment in enrollments:
            reason = None
            if enrollment.state in ("held", "todo"):
                reason = enrollment.hold_reason
            if reason in REASONS_NOT_TOLD:
                continue
            if reason and reason != self.standing.get(enrollment.id):
                about = (enrollment.partner_id, enrollment.explanation)
                news[about] |= enrollment.move_id
            self.standing[enrollment.id] = reason
        for (partner, explanation), moves in news.items():
            self.tell("held", self.numbers(moves), f"{partner.name}: {explanation}")

    # --- words ----------------------------------------------------------------------

    def get_about(self, reminder):
        lines = reminder._get_current_lines()
        amounts = reminder._format_amounts(lines, "amount")
        return f"{self.numbers(lines.move_id)} ({amounts})"

    def numbers(self, moves):
        """INV/2026/00012, 13, 17"""
        first, *others = moves.sorted("id").mapped("name") or [""]
        return ", ".join([first, *(name.split("/")[-1][-3:] for name in others)])

    def who(self, move):
        return move.commercial_partner_id.name

    def format(self, amount, currency):
        return formatLang(self.env, amount, currency_obj=currency)

    def first_line(self, text):
        """What a mail server says in brackets is no news either."""
        return (text or "").strip().split("\n")[0].split(" (")[0]

    # --- totals -----------------------------------------------------------------------

    def tell_totals(self):
        reminders = self.env["dunning.reminder"].search([])
        enrollments = self.env["dunning.enrollment"].search([])
        sent = reminders.filtered(lambda r: r.state == "sent")
        moves = sum(len(moves) for moves in self.invoices.values())
        print(
            f"\nAfter {demo_data.DAYS} days: {len(self.customers)} customers, "
            f"{moves} invoices, {len(enrollments)} instalments followed"
        )
        self.tell_counts("reminders", reminders.mapped("state"))
        self.tell_counts("sent", sent.mapped("step_name"))
        self.tell_counts("sequences", sent.mapped("sequence_name"))
        self.tell_counts("languages", sent.mapped("lang"))
        self.tell_counts("instalments", map(self.get_standing, enrollments))

    def get_standing(self, enrollment):
        """The state of an instalment, and why."""
        selection = enrollment._fields["hold_reason"]._description_selection(self.env)
        reason = dict(selection).get(enrollment.hold_reason)
        return enrollment.state + (f" ({reason.lower()})" if reason else "")

    def tell_counts(self, what, values):
        counts = [f"{count} {name}" for name, count in sorted(Counter(values).items())]
        text = textwrap.fill("; ".join(counts), 88, subsequent_indent=" " * 15)
        print(f"  {what:12} {text}")

    def tell_seconds(self, total):
        run, deliver = (sum(column) for column in zip(*self.seconds, strict=True))
        print(
            f"\n{demo_data.DAYS} days in {total:.0f} s: _run {run:.1f} s, "
            f"_deliver {deliver:.1f} s, the rest is bookkeeping."
        )
