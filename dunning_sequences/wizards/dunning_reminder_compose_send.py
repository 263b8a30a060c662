"""Send: what becomes of the messages of the composer.

All is read again first, under lock: what was shown may be minutes old, and what comes
from a browser is checked before it is used.
"""

import re
from collections import defaultdict
from email.utils import getaddresses

from psycopg2.errors import UniqueViolation

from odoo import api, models
from odoo.exceptions import AccessError, UserError
from odoo.tools import email_normalize, format_datetime, plaintext2html
from odoo.tools.mail import email_normalize_all, formataddr

from ..models.dunning_reminder import STATES_PENDING
from ..tools.one_line import one_line
from .dunning_reminder_compose import OUTCOME_RECORDED

#: Invoices that a result names.
NAMED = 5

#: Characters of a text that somebody changed: it can hold a table of many invoices.
MAX_WRITTEN = 500_000


class DunningReminderCompose(models.TransientModel):
    _inherit = "dunning.reminder.compose"

    def action_send(self):
        """Send the chosen messages, print them, or note that it was done (E07).

        :raise UserError: when a message has no recipient, or a text cannot be used
        """
        self.ensure_one()
        self._check_allowed()
        self._take()
        lines = self._get_chosen_lines()
        if self.outcome == OUTCOME_RECORDED:
            return self._get_result_action(*self._record(lines))
        self._check_text()
        whom = {line: line._get_whom(self.outcome) for line in lines}
        if self.outcome == "email":
            self._check_not_ours(whom.values())
            self._keep_contacts(lines, whom)
            self._check_sender()
            if self.attach_invoice:
                lines.move_ids.sudo()._dunning_make_pdfs()
        reminders, skipped = self._compose(lines, whom)
        if self.outcome == "letter":
            return self._print(reminders)
        reminders._trigger_delivery()
        return self._get_result_action(reminders, skipped)

    def _take(self):
        """Who clicks twice sends once: the second one waits here, and is told."""
        if self.sent:
            raise UserError(self.env._("These reminders were sent already."))
        self.write({"sent": True})
        self.flush_recordset(["sent"])

    # ------------------------------------------------------------------------
    # CHECK
    # ------------------------------------------------------------------------

    def _get_chosen_lines(self):
        lines = self.line_ids
        if self.is_single:
            lines.write(
                {
                    "email_to": self.email_to,
                    "email_cc": self.email_cc,
                    "email_bcc": self.email_bcc,
                    "keep_contact": self.keep_contact,
                }
            )
        else:
            lines = lines.filtered("is_chosen")
        self._check_lines(lines)
        return lines

    def _check_lines(self, lines):
        """The messages are about the invoices that were looked at, each about one
        customer, and about each invoice once.
        """
        if not lines:
            raise UserError(
                self.env._(
                    "There is nothing to send. Tick at least one message. %(why)s",
                    why=self.skip_summary or "",
                )
            )
        moves = lines.move_ids
        if (
            moves - self.move_ids
            or sum(len(line.move_ids) for line in lines) != len(moves)
            or any(len(line.move_ids.commercial_partner_id) > 1 for line in lines)
        ):
            raise AccessError(
                self.env._("These messages do not belong to the invoices chosen.")
            )

    def _check_text(self):
        """Typed texts obey the rules of those of the steps.

        :raise UserError: saying what is wrong
        """
        if self.is_single:
            if self._is_written() and not (self.subject or "").strip():
                raise UserError(self.env._("Give the message a subject."))
            if len(self.subject or "") + len(self.body or "") > MAX_WRITTEN:
                raise UserError(
                    self.env._(
                        "The message is longer than %(length)s characters. Shorten it.",
                        length=MAX_WRITTEN,
                    )
                )
        elif self.is_typed:
            self.env["dunning.sequence.step"].new(
                {
                    "name": self.env._("This sending"),
                    "subject": self.typed_subject,
                    "body": self.typed_body,
                }
            )._check_typed_text()

    def _check_sender(self):
        if self.email_from:
            addresses = self.env["dunning.reminder.compose.line"]._parse_addresses(
                self.email_from
            )
            if len(addresses) > 1:
                raise UserError(self.env._("Type one sender address."))
            self.write({"email_from": addresses[0]})

    def _is_written(self):
        """Has a person changed the text that was proposed for one message?"""
        return self.is_single and (
            (self.subject or "") != (self.proposed_subject or "")
            or str(self.body or "") != str(self.proposed_body or "")
        )

    # ------------------------------------------------------------------------
    # COMPOSE
    # ------------------------------------------------------------------------

    def _compose(self, lines, whom):
        """Write the reminders, as they are true now.

        :return: (reminders, {invoice: why it was left out since})
        """
        today = self._get_today()
        Reminder = self.env["dunning.reminder"].sudo().with_company(self.company_id)
        found, skipped = self._read_again(lines)
        instalments = self.env["dunning.enrollment"].union(*found.values())
        self._check_something_left(instalments, skipped)
        Reminder._drop_pending(instalments)
        groups, turns = {}, Reminder._get_turns(instalments.move_id)
        for line, members in found.items():
            lang = members[:1].move_id._get_dunning_lang(whom[line])
            whom[line]["turns"] = turns
            whom[line]["choices"] = {
                **self._prepare_choices(members, whom[line], lang),
                **self._prepare_written(),
            }
            groups[f"compose {line.id}"] = (whom[line], lang, members)
        moves = instalments.move_id  # a failure forgets what is only in memory
        reminders = Reminder._compose(groups, today, origin="manual")
        self._check_written(reminders)
        gone = moves - reminders.line_ids.move_id
        skipped.update(
            dict.fromkeys(gone, self.env._("Somebody else reminded of it just now"))
        )
        self._check_something_left(reminders, skipped)
        self.env["dunning.enrollment"]._reconcile(lines.move_ids, today)
        return reminders, skipped

    def _read_again(self, lines):
        """Return ({message: instalments}, {invoice: why not}), under lock.

        Whoever pays now is done before we look, or waits until we are.
        """
        moves = lines.move_ids
        self.env.flush_all()
        self.env.cr.execute(
            "SELECT id FROM account_move WHERE id = ANY(%s) ORDER BY id FOR SHARE",
            [moves.ids],
        )
        moves.sudo().line_ids.fetch(["amount_residual_currency", "date_maturity"])
        chosen, skipped = self._read_rows()
        skipped.update(self._get_reminded_since(moves))
        found = {}
        for line in lines:
            left = line.move_ids.filtered(lambda move: move not in skipped)
            rows = [row for move in left for row in chosen[move]]
            if rows:
                found[line] = self._new_instalments(rows, self._get_chosen_step())
        return found, {m: why for m, why in skipped.items() if m in moves}

    @api.model
    def _get_said_lines(self, moves):
        """What was said of some invoices, and counts.

        What waits for a person gives way, and what is about to leave is asked by
        others.
        """
        return (
            self.env["dunning.reminder.line"]
            .sudo()
            .search(
                [
                    ("move_id", "in", moves.ids),
                    ("counts", "=", True),
                    ("reminder_id.state", "not in", (*STATES_PENDING, "queued")),
                ]
            )
        )

    def _get_reminded_since(self, moves):
        """Return {invoice: who reminded of it} since the composer shows what was said.

        Dates would not do: it may have been written before, and have left since.
        """
        said = self._get_said_lines(moves)
        return {
            line.move_id: self.env._(
                "Reminded by %(user)s at %(time)s, after this was opened",
                user=line.create_uid.name,
                time=format_datetime(
                    self.env, line.reminder_id.write_date, dt_format="HH:mm"
                ),
            )
            for line in said
            if line.id not in (self.said_ids or ())
        }

    def _check_something_left(self, found, skipped):
        if not found:
            raise UserError(
                self.env._(
                    "There is nothing left to remind of. %(why)s",
                    why=self._name_skipped(skipped),
                )
            )

    def _check_written(self, reminders):
        """The text of one message: its writer can repair it now."""
        if self.is_single and reminders.state == "failed":
            raise UserError(reminders.failure_reason)

    def _prepare_choices(self, instalments, whom, lang):
        """What was chosen here, as values of a reminder. Hook: add your own."""
        carrier = self._get_carrier(instalments)
        step = self.step_id._origin.sudo() or carrier._get_text_step(self._get_today())
        choices = {
            "composed": True,
            "step_id": step.id,
            "step_name": self._get_text_name(step),
            "template_id": self.template_id.id,
            "attach_invoice": self.attach_invoice,
            "attach_statement": self.attach_statement,
            "payment_link_chosen": self.payment_link,
            "grouping_key": carrier._get_grouping_hash(whom, lang, self._get_today()),
        }
        if self.email_from:
            choices["email_from"] = self.email_from
        if self.is_typed and not self.is_single:
            choices["own_text"] = "typed"
            choices["own_subject"] = self.typed_subject
            choices["own_body"] = self.typed_body
        return choices

    def _get_text_name(self, step):
        """What the history calls it, in the company's language."""
        template = self.template_id.with_context(lang=self.company_id.partner_id.lang)
        Reminder = self.env["dunning.reminder"].sudo()
        return template.name or Reminder._get_company_name(step)

    def _prepare_written(self):
        """The text of one message, where a person changed it."""
        if not self._is_written():
            return {}
        subject = one_line(self.subject or "")
        return {"own_text": "written", "subject": subject, "body": self.body}

    def _print(self, reminders):
        failed = reminders.filtered(lambda reminder: reminder.state == "failed")
        letters = (reminders - failed).with_env(self.env)
        action = letters.action_print() if letters else True
        if action is True:  # none could be written, or made into a PDF
            reasons = filter(None, reminders.mapped("failure_reason"))
            raise UserError("\n".join(set(reasons)))
        return {**action, "close_on_report_download": True}

    # ------------------------------------------------------------------------
    # RECORD
    # ------------------------------------------------------------------------

    def _record(self, lines):
        """Note that it was done by phone, on a visit or otherwise: nothing leaves."""
        today = self._get_today()
        Reminder = self.env["dunning.reminder"].sudo().with_company(self.company_id)
        found, skipped = self._read_again(lines)
        instalments = self.env["dunning.enrollment"].union(*found.values())
        self._check_something_left(instalments, skipped)
        Reminder._drop_pending(instalments)
        kinds = dict(self._fields["contact_kind"]._description_selection(self.env))
        note = {
            "subject": kinds.get(self.contact_kind),
            "body": plaintext2html(self.note) if self.note else False,
        }
        turns = Reminder._get_turns(instalments.move_id)
        vals_list = [
            Reminder._prepare_record_vals(
                instalment,
                today,
                OUTCOME_RECORDED,
                channel="activity",
                choices=note,
                turns=turns,
            )
            for instalment in instalments
        ]
        try:
            with self.env.cr.savepoint():
                reminders = Reminder.create(vals_list)
        except UniqueViolation as error:
            raise UserError(
                self.env._("Somebody else reminded of these invoices just now.")
            ) from error
        noted = reminders.filtered("body")
        noted._create_notes()
        noted.mail_message_id.author_id = self.env.user.partner_id
        self.env["dunning.enrollment"]._reconcile(lines.move_ids, today)
        return reminders, skipped

    # ------------------------------------------------------------------------
    # CONTACTS
    # ------------------------------------------------------------------------

    def _keep_contacts(self, lines, whom):
        """Star who gets the reminders of a customer from now on (G12).

        With the rights of the user: who may not write contacts may not do this.
        """
        keeping = lines.filtered("keep_contact")
        wanted = {
            (line.partner_id, email_normalize(address)): address
            for line in keeping
            for address in whom[line]["to"]
        }
        known = self._find_contacts(keeping)
        for key in wanted.keys() & known.keys():
            known[key].dunning_contact = True
        self.env["res.partner"].create(
            [
                self._prepare_contact_vals(customer, address)
                for (customer, _email), address in wanted.items()
                if (customer, _email) not in known
            ]
        )
        known = self._find_contacts(keeping)
        for line in keeping:
            for email in email_normalize_all(", ".join(whom[line]["to"])):
                whom[line]["partners"] |= known[line.partner_id, email]

    def _find_contacts(self, lines):
        """Return {(customer, bare address): his contacts with that address}."""
        emails = email_normalize_all(", ".join(filter(None, lines.mapped("email_to"))))
        partners = self.env["res.partner"].search(
            [
                ("commercial_partner_id", "in", lines.partner_id.ids),
                ("email_normalized", "in", emails),
            ]
        )
        return dict(
            partners.grouped(lambda p: (p.commercial_partner_id, p.email_normalized))
        )

    @api.model
    def _prepare_contact_vals(self, customer, address):
        ((name, email),) = getaddresses([address])
        return {
            "parent_id": customer.id,
            "name": name or email,
            "email": email,
            "lang": customer.lang,
            "dunning_contact": True,
        }

    # ------------------------------------------------------------------------
    # RESULT
    # ------------------------------------------------------------------------

    def _name_skipped(self, skipped):
        """Say which invoices were left out, and why."""
        reasons = defaultdict(list)
        for move, reason in skipped.items():
            reasons[reason].append(move.name)
        return "; ".join(
            self._shorten(names) + f" ({reason})" for reason, names in reasons.items()
        )

    @api.model
    def _shorten(self, names):
        return ", ".join(names[:NAMED]) + (", …" if len(names) > NAMED else "")

    def _get_result_action(self, reminders, skipped):
        """Say what became of it, and close the composer."""
        failed = reminders.filtered(lambda reminder: reminder.state == "failed")
        done = len(reminders - failed)
        if self.outcome == OUTCOME_RECORDED:
            parts = [self.env._("Recorded: %(count)s.", count=done)]
        else:
            parts = [self.env._("Reminders about to leave: %(count)s.", count=done)]
        if failed:
            names = failed.line_ids.mapped("move_name")
            parts.append(
                self.env._(
                    "Failed: %(names)s. %(why)s",
                    names=self._shorten(names),
                    why=failed[0].failure_reason,
                )
            )
        left = self._get_left_out(skipped)
        if left:
            parts.append(
                self.env._("Left out: %(names)s.", names=self._name_skipped(left))
            )
        return {
            "type": "ir.actions.client",
            "tag": "display_notification",
            "params": {
                "type": "warning" if failed else "success",
                "message": " ".join(parts),
                "sticky": bool(failed or left),
                "next": {"type": "ir.actions.act_window_close"},
            },
        }

    def _get_left_out(self, skipped):
        """All that nothing was sent for: before, unticked, or since."""
        left = {skip.move_id: skip.reason for skip in self.skip_ids}
        if not self.is_single:
            for line in self.line_ids.filtered(lambda line: not line.is_chosen):
                reason = line.lacking or self.env._("Not ticked")
                left.update(dict.fromkeys(line.move_ids, reason))
        return {**left, **skipped}

    @api.model
    def _check_not_ours(self, recipients):
        """:raise UserError: for an address at which Odoo reads mails itself"""
        emails = {
            email
            for whom in recipients
            for kind in ("to", "cc", "bcc")
            for email in whom[kind]
        }
        own = self.env["account.move"]._get_dunning_own_addresses(emails)
        if own:
            raise UserError(
                self.env._(
                    "Mails to %(addresses)s come back to Odoo. Type the address of "
                    "the customer.",
                    addresses=", ".join(sorted(own)),
                )
            )


class DunningReminderComposeLine(models.TransientModel):
    _inherit = "dunning.reminder.compose.line"

    def _get_whom(self, channel):
        """The recipients of a message, checked: see `_get_dunning_recipients`.

        :raise UserError: without any (K17), or with something that is no address
        """
        self.ensure_one()
        if channel == "letter":
            whom = self.move_ids[:1]._get_dunning_postal_recipients()
            return {**whom[self.move_ids[:1].id], "channel": channel}
        if not (self.email_to or "").strip():
            raise UserError(
                self.env._(
                    "There is no e-mail address to send the reminder of %(customer)s "
                    "to. Type one, or take it off the list.",
                    customer=self.partner_id.display_name,
                )
            )
        to = self._parse_addresses(self.email_to)
        proposed = self.recipient_ids.filtered(
            lambda p: p.email_normalized in email_normalize_all(", ".join(to))
        )
        known = proposed == self.recipient_ids
        return {
            "to": to,
            "cc": self._parse_addresses(self.email_cc),
            "bcc": self._parse_addresses(self.email_bcc),
            "partners": proposed,
            "source": self.recipient_source if proposed and known else "typed",
            "channel": channel,
        }

    @api.model
    def _parse_addresses(self, text):
        """Return the formatted addresses of a list that somebody typed.

        :raise UserError: naming the part that is none
        """
        text = (text or "").strip(" ,;\t")
        if not text:
            return []
        pairs = getaddresses([text.replace(";", ",")])
        wrong = [pair for pair in pairs if not self._is_address(*pair)]
        if wrong or re.search(r"[\x00-\x1f\x7f]", text):
            part = " ".join(filter(None, wrong[0])) if wrong else ""
            raise UserError(
                self.env._(
                    "“%(part)s” is no e-mail address. Separate addresses by commas.",
                    part=part or " ".join(text.split()),
                )
            )
        return [formataddr((name, email_normalize(email))) for name, email in pairs]

    @api.model
    def _is_address(self, _name, email):
        return bool(
            re.fullmatch(r"[^@\s<>,;:\"()]+@[^@\s<>,;:\"()]+\.[^@\s<>,;:\"()]+", email)
            and email_normalize(email)
        )
