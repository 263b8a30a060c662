"""Re-check: ask again, under lock, whether a reminder may leave as it is."""

from datetime import timedelta

from odoo import models
from odoo.tools import SQL

from ..tools.plan import next_working_day
from .dunning_reminder import STATES_PENDING


def get_version_sql(table):
    """Tells whether a row was written since: by which transaction, and to where."""
    names = SQL.identifier(table, "xmin"), SQL.identifier(table, "ctid")
    return SQL("%s::text || %s::text", *names)


class DunningReminder(models.Model):
    _inherit = "dunning.reminder"

    def _get_message(self, run, ahead=None):
        """The mail, if it may leave as of now, made before or made now."""
        if ahead and self._are_moves_settled(ahead.moves):
            return ahead.message
        with self.env.cr.savepoint():
            return self._recheck(run) and self._build_message()

    def _recheck(self, run):
        """Ask again, under lock, whether the reminder may leave as it is.

        What was paid or is held since leaves it; when nothing is left it is
        cancelled; when an amount or the day changed it is written anew.
        """
        self.ensure_one()
        self.env.flush_all()
        if self._wait_for_working_day(run):
            return False
        moves = self._get_current_lines().move_id
        if not self._are_moves_settled(dict.fromkeys(moves.ids)):
            return self._wait_for_moves(run.now)
        return self._recheck_content(self._get_day(run.now))

    def _get_day(self, now):
        """The company's day; of two hosts' clocks one may be behind the other, and
        nothing leaves before the day for which it was written.
        """
        return max(self.company_id._dunning_today(now), self.date)

    def _wait_for_moves(self, now):
        """For a minute. It is no try: nothing is wrong with the mail server."""
        self.next_try = now + timedelta(minutes=1)
        self.failure_reason = self.env._("An invoice is being changed.")
        self._trigger_later(self.next_try)
        return False

    def _wait_for_working_day(self, run):
        """Written on a working day and not taken on it: not at the week-end either.

        Who sends by hand knows which day it is.

        :return: does it wait?
        """
        if self.origin == "manual":
            return False
        today = self.company_id._dunning_today(run.now)
        off = run.get_days_off(self.sequence_id, today)
        if today not in off:
            return False
        days = (next_working_day(today, off) - today).days
        self.next_try = run.now + timedelta(days=days)
        self.failure_reason = self.env._("Waits for a working day.")
        self._trigger_later(self.next_try)
        return True

    def _read_facts(self, today):
        """Return what decides about these reminders now, read for all at once.

        :return: ({line id: why not}, {line id: amount due}, {channel: recipients})
        """
        self._prefetch_content()
        lines = self.line_ids.filtered(lambda line: not line.dropped)
        recipients = {
            channel: lines.move_id._get_dunning_recipients_by(channel)
            for channel in set(self.mapped("channel"))
        }
        return (*self._get_objections(lines, today), recipients)

    def _recheck_content(self, today, facts=None):
        """Take out what must not be said, and say the rest as it is today.

        :param facts: see `_read_facts`
        """
        facts = facts or self._read_facts(today)
        if self._is_as_written(today, facts):
            return True
        lines = self._get_current_lines()
        objections, amounts, recipients = facts
        refused = lines.filtered(lambda line: line.id in objections)
        if refused == lines:
            Enrollment = self.env["dunning.enrollment"]
            reasons = [objections[line.id] for line in lines]
            self._cancel(Enrollment._get_reason_labels(reasons))
            return False
        refused += self._refresh_recipients(lines - refused, recipients[self.channel])
        if refused:
            refused.dropped = True
        for line in lines - refused:
            if line.amount != amounts[line.id]:
                line.amount = amounts[line.id]
        self.filtered(lambda reminder: reminder.date != today).date = today
        if self.fingerprint != self._get_fingerprint() or refused:
            self._compose_anew()
        return self.state in ("queued", *STATES_PENDING)

    def _is_as_written(self, today, facts):
        """May it leave today to the same people, with the text that it has?"""
        objections, amounts, recipients = facts
        found = recipients[self.channel]
        lines = self._get_current_lines()
        return (
            bool(lines)
            and self.date == today
            and all(
                line.id not in objections
                and line.amount == amounts[line.id]
                and self._is_addressed(
                    self._prepare_recipient_vals(found[line.move_id.id])
                )
                for line in lines
            )
            and self.fingerprint == self._get_fingerprint()
        )

    def _are_moves_settled(self, versions):
        """Does nobody change these invoices now, and has nobody since we look?

        Asked by a lock that is given back at once: a payment must not wait for a
        mail server. What is left is the time of one SMTP transaction.

        :param versions: {invoice id: version that was read, None for any}
        """
        with self.env.cr.savepoint(flush=False) as savepoint:
            rows = self.env.execute_query(
                SQL(
                    "SELECT id, %s FROM account_move WHERE id = ANY(%s) "
                    "FOR SHARE SKIP LOCKED",
                    get_version_sql("account_move"),
                    list(versions),
                )
            )
            savepoint.rollback()
        # Nobody may touch what is written once the mail has left.
        self.env.cr.execute(
            "SELECT id FROM mail_notification WHERE mail_message_id = %s FOR UPDATE",
            [self.mail_message_id.id or None],
        )
        found = dict(rows)
        return found.keys() == versions.keys() and all(
            version in (None, found[move_id]) for move_id, version in versions.items()
        )

    def _get_objections(self, lines, today, only_over=False):
        """Return ({line id: why not}, {line id: amount due}) as of now.

        :param only_over: ask only whether the instalments are over
        """
        Enrollment = self.env["dunning.enrollment"].sudo()
        rows = Enrollment._read_instalments(lines.move_id.ids, today, {})
        if not only_over:
            Enrollment._note_credits(rows)
        by_key = {(row["move_id"], row["due_date"]): row for row in rows}
        objections, amounts = {}, {}
        for line in lines:
            row = by_key.get((line.move_id.id, line.due_date))
            objection = line.reminder_id._get_over_objection(row)
            if not objection and not only_over:
                objection = line.reminder_id._get_objection(row)
                objection = objection or line._get_early_objection(today)
            if objection:
                objections[line.id] = objection
            else:
                amounts[line.id] = float(row["residual_currency"])
        return objections, amounts

    def _get_over_objection(self, row):
        return self.env["dunning.enrollment"]._get_over_reason(row) if row else "paid"

    def _get_objection(self, row):
        """Why an open instalment must not be reminded after all, None if it may.

        Who sends by hand knows what he does: only a hold stops him.
        """
        Enrollment = self.env["dunning.enrollment"]
        if row["wanted_id"] != self.sequence_id.id:
            return "no_sequence"
        if row["hold_kind"]:
            return row["hold_kind"]
        reason = Enrollment._get_hold_reason(row, self.sequence_id)
        ignored = {"leaving", "delayed"}
        if self.origin == "manual":
            ignored.add("not_sent")
        return None if reason in ignored else reason

    def _refresh_recipients(self, lines, found):
        """Follow recipients that changed since; return the lines that do not.

        One mail goes to one set of recipients: an invoice that was given others
        leaves the mail, and enters one of its own on the next run.
        """
        vals = {
            line: self._prepare_recipient_vals(found[line.move_id.id]) for line in lines
        }
        same = lines.filtered(lambda line: self._is_addressed(vals[line]))
        if not same and any(
            self.channel != "email" or found[move.id]["to"] for move in lines.move_id
        ):
            first = lines.sorted(
                lambda line: (
                    not vals[line]["email_to"],
                    *self._get_carrier_key(line.step_id, line.due_date),
                )
            )[:1]
            recipients = found[first.move_id.id]
            lang = first.move_id._get_dunning_lang(recipients)
            self.write({**vals[first], "lang": lang})
            same = lines.filtered(lambda line: self._is_addressed(vals[line]))
        return lines - (same or lines)

    def _is_addressed(self, vals):
        """Does it go to these recipients, and to nobody else?"""
        if self.channel != "email":
            return vals["recipient_ids"] == [(6, 0, self.recipient_ids.ids)]
        return all(
            (self[name] or False) == (vals[name] or False)
            for name in ("email_to", "email_cc", "email_bcc")
        )

    def _compose_anew(self):
        """Never an old text: the same reminder, with what is true today."""
        carrier = self._get_current_lines().sorted(
            lambda line: self._get_carrier_key(line.step_id, line.due_date)
        )[:1]
        self.write(self._prepare_carrier_vals(carrier))
        self.invalidate_recordset()
        self._write_content()
        if self.state not in ("queued", *STATES_PENDING):
            self._drop_message()
        if not self.mail_message_id:
            return
        vals = self._prepare_message_vals()
        names = ("record_name", "subject", "partner_ids", "attachment_ids")
        self.mail_message_id.sudo().write({name: vals[name] for name in names})
        self._fill_messages()

    def _prepare_carrier_vals(self, line):
        """The instalment that gives the text, and whose invoice carries it."""
        return {
            "move_id": line.move_id.id,
            "step_id": line.step_id.id,
            "step_name": line.step_name,
        }

    def _cancel(self, reason):
        """It has not left and will not: paid or held since."""
        self.write({"state": "cancelled", "failure_reason": reason})
        self._drop_message()
        self._drop_activities()
        self._mark_moves()

    def _drop_message(self):
        """A mail that never left has nothing to do on the invoice's thread."""
        self.mail_message_id.sudo().unlink()
