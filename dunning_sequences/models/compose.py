"""Compose: from due instalments to reminders that are about to leave.

One transaction per chunk of customers: lock, read again, group, write reminders,
lines and messages. A crash anywhere in it means that nothing happened.
"""

import hashlib
import logging

import psycopg2

from odoo import api, models
from odoo.exceptions import UserError
from odoo.tools import SQL, is_html_empty, split_every
from odoo.tools.mail import generate_tracking_message_id

from ..tools.one_line import one_line
from .dunning_reminder import STATES_PENDING
from .guard import REACHED

_logger = logging.getLogger(__name__)

#: What a reminder of each channel is once nobody has to approve it (any more).
READY_STATES = {"email": "queued", "letter": "to_print", "activity": "to_do"}

#: The database wants the whole transaction again: no failure of a reminder.
CONCURRENCY_ERRORS = (
    psycopg2.errors.SerializationFailure,
    psycopg2.errors.DeadlockDetected,
)

#: The fields of a message that name its thread.
THREAD = ("model", "res_id")

#: Customers per transaction.
CHUNK = 200


class DunningEnrollment(models.Model):
    _inherit = "dunning.enrollment"

    @api.model
    def _get_due_chunks(self, company, today):
        """Return lists of customers to whom something is due: one transaction each."""
        groups = self._read_group(self._get_due_domain(company, today), ["partner_id"])
        partner_ids = sorted(partner.id for (partner,) in groups)
        return [list(ids) for ids in split_every(CHUNK, partner_ids)]

    @api.model
    def _get_due_domain(self, company, today):
        return [
            ("company_id", "=", company.id),
            ("state", "=", "running"),
            ("next_date", "<=", today),
        ]

    @api.model
    def _ensure_portal_tokens(self, company, partner_ids, today):
        """Payment links need a token, before the invoices are locked to be read."""
        due = self.sudo().search_fetch(
            [
                *self._get_due_domain(company, today),
                ("partner_id", "in", partner_ids),
            ],
            ["move_id"],
        )
        self._create_portal_tokens(due.move_id)

    @api.model
    def _create_portal_tokens(self, moves):
        """By SQL: a write would recompute the invoices."""
        self.env.cr.execute(
            """
            UPDATE account_move SET access_token = gen_random_uuid()
             WHERE id IN (
                   SELECT id FROM account_move
                    WHERE id = ANY(%s) AND access_token IS NULL
                      FOR NO KEY UPDATE SKIP LOCKED)
            """,
            [moves.ids],
        )
        if self.env.cr.rowcount:
            moves.invalidate_recordset(["access_token"])

    @api.model
    def _compose_partners(self, company, partner_ids, today):
        """Write the reminders of some customers that are due today.

        :return: the reminders, those that failed included
        """
        moves = self._lock_due(company, partner_ids, today)
        self._reconcile(moves, today)
        due = self.sudo().search(
            [("move_id", "in", moves.ids), *self._get_due_domain(company, today)]
        )
        due = due.with_company(company).with_context(lang=company._get_dunning_lang())
        groups = due._get_groups(today)
        reminders = self.env["dunning.reminder"].sudo()._with_company_lang(company)
        reminders = reminders._compose(groups, today)
        if reminders:
            self._reconcile(reminders.line_ids.move_id, today)
            reminders._trigger_delivery()
        return reminders

    @api.model
    def _compose_by_hand(self, company, enrollments, today):
        """Write the coming reminders of these instalments now, for a person."""
        groups = enrollments._get_groups(today, by_hand=True)
        if any(
            members.next_step_id.channel == "email" and not whom["to"]
            for whom, _lang, members in groups.values()
        ):
            raise UserError(
                self.env._(
                    "There is no e-mail address to send the reminder to. Give the "
                    "customer one, or the invoice its own recipients."
                )
            )
        attaching = enrollments.filtered("sequence_id.attach_invoice")
        attaching.move_id._dunning_make_pdfs()
        reminders = self.env["dunning.reminder"].sudo().with_company(company)
        reminders = reminders._compose(groups, today, origin="manual")
        self._reconcile(enrollments.move_id, today)
        reminders._trigger_delivery()
        return reminders

    @api.model
    def _lock_due(self, company, partner_ids, today):
        """Lock what decides, before anything is read, in one statement.

        Whoever pays or edits now waits for us; whom we would have to wait for is
        left to the next run.
        """
        self.env.flush_all()
        rows = self.env.execute_query(
            SQL(
                """
                SELECT enrollment.move_id
                  FROM dunning_enrollment enrollment
                  JOIN account_move move ON move.id = enrollment.move_id
                  JOIN res_partner partner ON partner.id = enrollment.partner_id
                  JOIN dunning_sequence sequence
                    ON sequence.id = enrollment.sequence_id
                 WHERE enrollment.company_id = %s AND enrollment.state = 'running'
                   AND enrollment.next_date <= %s
                   AND enrollment.partner_id = ANY(%s)
              ORDER BY enrollment.id
                   FOR NO KEY UPDATE OF enrollment SKIP LOCKED
                   FOR SHARE OF move, partner, sequence SKIP LOCKED
                """,
                company.id,
                today,
                partner_ids,
            )
        )
        self.env.invalidate_all(flush=False)
        return self.env["account.move"].browse(sorted({move for (move,) in rows}))

    # ------------------------------------------------------------------------
    # GROUP
    # ------------------------------------------------------------------------

    def _get_groups(self, today, by_hand=False):
        """Return {key: (recipients, language, instalments)}: one mail each.

        At most one mail per key a day: what comes later waits for tomorrow, and
        for one that has not left yet.
        """
        recipients = {
            channel: self.move_id._get_dunning_recipients_by(channel)
            for channel in set(self.next_step_id.mapped("channel"))
        }
        groups = {}
        for enrollment in self:
            channel = enrollment.next_step_id.channel
            whom = recipients[channel][enrollment.move_id.id]
            lang = enrollment.move_id._get_dunning_lang(whom)
            key = enrollment._get_grouping_hash(whom, lang, today)
            _whom, _lang, members = groups.get(key, (whom, lang, self.browse()))
            groups[key] = (whom, lang, members + enrollment)
        if by_hand:
            return groups
        said = self.env["dunning.reminder"].search_fetch(
            [
                ("grouping_key", "in", list(groups)),
                "|",
                ("state", "=", "queued"),
                "&",
                ("date", "=", today),
                ("state", "in", (*STATES_PENDING, *REACHED)),
            ],
            ["grouping_key"],
        )
        for key in set(said.mapped("grouping_key")):
            del groups[key]
        return groups

    def _get_grouping_key(self, recipients, lang, today):
        """What makes one mail. Hook: override to group otherwise."""
        self.ensure_one()
        key = (
            self.company_id.id,
            self.partner_id.id,
            self.sequence_id.id,
            tuple(recipients["to"]),
            tuple(recipients["cc"]),
            tuple(recipients["bcc"]),
            lang,
            self._is_before_due(today),
            self.next_step_id.channel,
            tuple(recipients["partners"].ids) if not recipients["to"] else (),
        )
        if self.sequence_id.grouping == "invoice":
            key += (self.move_id.id,)
        return key

    def _get_grouping_hash(self, recipients, lang, today):
        key = repr(self._get_grouping_key(recipients, lang, today))
        return hashlib.sha256(key.encode()).hexdigest()[:32]

    def _is_before_due(self, today):
        self.ensure_one()
        return self.due_date > today


class DunningReminder(models.Model):
    _inherit = "dunning.reminder"

    @api.model
    def _compose(self, groups, today, origin="auto"):
        """Write one reminder per group; one that cannot be written fails alone.

        :param groups: see `dunning.enrollment._get_groups`
        :param origin: ``auto``, or ``manual`` when a person sends them
        """
        groups = list(groups.items())
        Enrollment = self.env["dunning.enrollment"]
        memory = Enrollment._keep_in_memory(
            Enrollment.union(*(members for _key, (*_whom, members) in groups))
        )
        try:
            with self.env.cr.savepoint():
                return self._compose_batch(groups, today, origin)
        except CONCURRENCY_ERRORS:
            raise
        except Exception:
            _logger.info("Reminders are written one by one", exc_info=True)
        reminders = self.browse()
        for group in groups:
            Enrollment._recall(memory)
            try:
                with self.env.cr.savepoint():
                    reminders += self._compose_batch([group], today, origin)
            except CONCURRENCY_ERRORS:
                raise
            except psycopg2.errors.UniqueViolation:
                _logger.info("Reminder %s was written by another run", group[0])
            except Exception as error:  # a state that somebody sees
                Enrollment._recall(memory)
                reminders += self._create_failed(group, today, origin, error)
        return reminders

    def _compose_batch(self, groups, today, origin):
        enrollments = self.env["dunning.enrollment"].union(
            *(members for _key, (_whom, _lang, members) in groups)
        )
        self._cancel_overtaken(enrollments)
        enrollments._prefetch_amounts()
        reminders = self.create(
            [
                self._prepare_reminder_vals(key, *group, today, origin)
                for key, group in groups
            ]
        )
        reminders._write_content()
        reminders._release()
        self.env.flush_all()
        return reminders

    @api.model
    def _cancel_overtaken(self, enrollments):
        """Reminders that nobody approved give way to those of the next step."""
        self._get_pending_lines(enrollments)._drop(
            self.env._("Overtaken by the next step.")
        )

    def _create_failed(self, group, today, origin, error):
        """A state with a reason, that somebody sees; never only a log line."""
        key, members = group
        vals = self._prepare_reminder_vals(key, *members, today, origin)
        reason = self._get_failure_reason(error)
        return self.create([dict(vals, state="failed", failure_reason=reason)])

    def _prepare_reminder_vals(self, key, recipients, lang, enrollments, today, origin):
        """Hook: override to write more on a reminder."""
        modes = set(enrollments.next_step_id.mapped("mode"))
        brake = origin == "auto" and self.env.context.get("dunning_brake")
        waits = brake or (origin == "auto" and "approval" in modes)
        carrier = enrollments.sorted(
            lambda e: self._get_carrier_key(e.next_step_id, e.due_date)
        )[:1]
        sequence, step = carrier.sequence_id, carrier.next_step_id
        channel = self._get_channel(recipients, step)
        return {
            "partner_id": carrier.partner_id.id,
            "partner_name": carrier.partner_id.name,
            "company_id": carrier.company_id.id,
            "sequence_id": sequence.id,
            "sequence_name": self._get_company_name(sequence),
            "step_id": step.id,
            "step_name": self._get_company_name(step),
            "move_id": carrier.move_id.id,
            "origin": origin,
            "channel": channel,
            "state": "to_approve" if waits else READY_STATES[channel],
            "failure_reason": brake,
            "date": today,
            "before_due": carrier._is_before_due(today),
            "lang": lang,
            "email_from": self._get_email_from(sequence, carrier.company_id),
            **self._prepare_recipient_vals(recipients),
            "message_id": self._get_new_message_id(carrier.move_id),
            "grouping_key": key,
            "line_ids": [
                (0, 0, self._prepare_line_vals(enrollment))
                for enrollment in enrollments
            ],
        }

    @api.model
    def _get_channel(self, recipients, step):
        """How it reaches them; hook."""
        return step.channel

    def _release(self):
        """Let go what is written and waits for no approval, each by its channel."""
        self.filtered(lambda r: r.state == "queued")._create_messages()
        self.filtered(lambda r: r.state == "to_do")._schedule_activities()

    @api.model
    def _get_carrier_key(self, step, due_date):
        """Which instalment gives the text: the highest step, then the oldest."""
        return (-step.sequence, -step.id, due_date)

    @api.model
    def _prepare_recipient_vals(self, recipients):
        return {
            "recipient_ids": [(6, 0, recipients["partners"].ids)],
            "email_to": ", ".join(recipients["to"]),
            "email_cc": ", ".join(recipients["cc"]) or False,
            "email_bcc": ", ".join(recipients["bcc"]) or False,
            "recipient_source": recipients["source"],
        }

    @api.model
    def _record(self, enrollments, today, state):
        """Note steps as done without a message: recorded or skipped.

        What waited for an approval gives way to the note.
        """
        pending = self._get_pending_lines(enrollments)
        if pending:
            pending._drop(
                self.env._("Done by hand: %(user)s.", user=self.env.user.name)
            )
            self.env["dunning.enrollment"]._reconcile(enrollments.move_id, today)
        return self.create(
            [
                self._prepare_record_vals(enrollment, today, state)
                for enrollment in enrollments.filtered("next_step_id")
            ]
        )

    @api.model
    def _prepare_record_vals(self, enrollment, today, state, **more):
        """A reminder without a message.

        :param more: what is known of its recipients, see `composed`
        """
        nobody = {"to": [], "cc": [], "bcc": [], "source": False, **more}
        nobody["partners"] = self.env["res.partner"]
        return {
            **self._prepare_reminder_vals(
                False, nobody, False, enrollment, today, "recorded"
            ),
            "state": state,
            "sent_on": today,
            "message_id": False,
        }

    @api.model
    def _get_pending_lines(self, enrollments):
        """These instalments, in the reminders that wait for an approval."""
        keys = {(e.move_id, e.due_date) for e in enrollments}
        lines = self.env["dunning.reminder.line"].search(
            [
                ("move_id", "in", enrollments.move_id.ids),
                ("reminder_id.state", "in", STATES_PENDING),
                ("dropped", "=", False),
            ]
        )
        return lines.filtered(lambda line: (line.move_id, line.due_date) in keys)

    @api.model
    def _prepare_line_vals(self, enrollment):
        return {
            "move_id": enrollment.move_id.id,
            "move_name": enrollment.move_id.name,
            "due_date": enrollment.due_date,
            "move_line_id": enrollment.move_line_id.id,
            "step_id": enrollment.next_step_id.id,
            "step_name": self._get_company_name(enrollment.next_step_id),
            "occurrence": enrollment.occurrence,
            "amount": enrollment._get_amount(),
            "currency_id": enrollment.currency_id.id,
        }

    def _with_company_lang(self, company):
        """What is kept, such as a reason, is kept in the company's language."""
        lang = company._get_dunning_lang()
        return self.with_company(company).with_context(lang=lang)

    @api.model
    def _get_company_name(self, record):
        """A name that is kept is kept in the company's language."""
        lang = record.company_id.partner_id.lang
        if record.env.lang != lang:  # each change takes its time
            record = record.with_context(lang=lang)
        return record.name

    @api.model
    def _get_new_message_id(self, move):
        """Unique, and kept for all tries: answers and bounces name it."""
        return generate_tracking_message_id(f"{move.id}-account.move")

    @api.model
    def _get_email_from(self, sequence, company):
        """The sequence's sender, else the company's; then any there is (E03)."""
        return (
            sequence.email_from
            or company.email_formatted
            or sequence.user_id.email_formatted
            or company.alias_domain_id.default_from_email
            or self.env["ir.mail_server"]._get_default_from_address()
            or False
        )

    # ------------------------------------------------------------------------
    # CONTENT
    # ------------------------------------------------------------------------

    def _write_content(self):
        """Fill in subject and body; whose text cannot be rendered fails, alone."""
        for (step, lang), reminders in (
            self._filter_written()
            .grouped(lambda reminder: (reminder.step_id, reminder.lang))
            .items()
        ):
            reminders._prefetch_content()
            step = step.with_context(lang=lang)
            in_lang = reminders.with_context(lang=lang)
            render = in_lang._get_renderer(step)
            for reminder, translated in zip(reminders, in_lang, strict=True):
                try:
                    subject, body = render(translated)
                    reminder._check_content(subject, body)
                except psycopg2.Error:
                    raise
                except Exception as error:
                    _logger.info("Reminder %s fails", reminder.id, exc_info=True)
                    reminder.write(
                        {
                            "state": "failed",
                            "failure_reason": self._get_failure_reason(error),
                        }
                    )
                else:
                    reminder.write(
                        {
                            "subject": self._get_safe_subject(subject),
                            "body": body,
                            "fingerprint": reminder._get_fingerprint(),
                        }
                    )

    @api.model
    def _get_safe_subject(self, subject):
        """One line, and no word that mail programs decode: a customer's name in it
        could hold a line break, and with it a header.
        """
        return one_line(subject).replace("=?", "= ?")

    def _prefetch_content(self):
        """Read at once what the texts are made of; each of them is written alone."""
        told = self.information_ids | self.coming_ids
        told._prefetch_amounts()
        moves = (self.line_ids.move_id | told.move_id).sudo()
        moves.transaction_ids.mapped("state")

    def _filter_written(self):
        """Activities are for ourselves: they have no text for the customer."""
        return self.filtered(lambda reminder: reminder.channel != "activity")

    def _get_fingerprint(self):
        """What the text was written from: when it changes, so must the text."""
        facts = " ".join(map(str, self._get_fingerprint_facts()))
        return hashlib.sha256(facts.encode()).hexdigest()[:32]

    def _get_fingerprint_facts(self):
        self.ensure_one()
        facts = [self.date, self.step_id.id, self.lang]
        facts += [self.email_to, self.email_cc, self.email_bcc]
        for line in self._get_current_lines():
            facts += [line.id, line.due_date, line.currency_id.round(line.amount)]
        return facts

    def _get_renderer(self, step):
        """Return a function from a reminder to its subject and body."""
        if step.content == "text":
            return lambda reminder: step._render_typed(reminder._get_typed_values())
        return step.template_id._get_dunning_renderer()

    def _get_typed_values(self):
        """The merge fields as plain values: nothing to reach the database by."""
        return {
            name: value if isinstance(value, str | int) else str(value)
            for name, value in self._get_merge_values().items()
        }

    def _check_content(self, subject, body):
        """An empty mail must not leave.

        :raise UserError: to say so
        """
        if not subject or is_html_empty(body):
            raise UserError(
                self.env._(
                    "The text of the step “%(step)s” is empty for this customer.",
                    step=self.step_name,
                )
            )
        if not self.email_from and self.channel == "email":
            raise UserError(
                self.env._(
                    "There is no sender: give the company “%(company)s” an e-mail "
                    "address.",
                    company=self.company_id.name,
                )
            )

    @api.model
    def _get_failure_reason(self, error):
        """What a person reads: the message and its cause, without the traceback."""
        first = error.args[0] if error.args else None
        text = first if isinstance(first, str) else str(error)
        cause = error.__cause__
        if cause:
            text = f"{text.strip()}\n{type(cause).__name__}: {cause}"
        return text.strip()[:1000] or type(error).__name__

    # ------------------------------------------------------------------------
    # MESSAGE
    # ------------------------------------------------------------------------

    def _create_messages(self):
        """Put each reminder on the thread of its invoice.

        Only those listed get it: no follower is notified.
        """
        self._create_on_threads([r._prepare_message_vals() for r in self])
        vals_list = [vals for r in self for vals in r._prepare_notification_vals()]
        self.env["mail.notification"].sudo().create(vals_list)

    def _create_on_threads(self, vals_list):
        """Create a message for each of the reminders, on the thread of its invoice.

        The thread comes after: told when they are created, Odoo looks for each of them
        at all models that have threads.
        """
        messages = (
            self.env["mail.message"]
            .sudo()
            .create(
                [
                    {name: vals[name] for name in vals if name not in THREAD}
                    for vals in vals_list
                ]
            )
        )
        for reminder, message in zip(self, messages, strict=True):
            reminder.mail_message_id = message
        self._fill_messages()

    def _fill_messages(self):
        """Put the texts on the messages, and these on the threads of the invoices.

        By SQL: the texts were cleaned when they were written on the reminders, and to
        clean them again takes as long as all of this.
        """
        self.flush_recordset(["body", "mail_message_id", "move_id"])
        messages = self.mail_message_id.sudo()
        messages.flush_recordset()
        self.env.cr.execute(
            """
            UPDATE mail_message message
               SET body = reminder.body, model = 'account.move',
                   res_id = reminder.move_id
              FROM dunning_reminder reminder
             WHERE reminder.mail_message_id = message.id AND message.id = ANY(%s)
            """,
            [messages.ids],
        )
        messages.invalidate_recordset(["body", "preview", *THREAD])
        self.move_id.invalidate_recordset(["message_ids"])

    def _prepare_message_vals(self):
        self.ensure_one()
        company = self.company_id
        return {
            "model": "account.move",
            "res_id": self.move_id.id,
            "record_name": self.move_id.name,
            "record_company_id": company.id,
            "record_alias_domain_id": company.alias_domain_id.id,
            "subject": self.subject,
            "message_id": self.message_id,
            "message_type": "email_outgoing",
            "subtype_id": self.env["ir.model.data"]._xmlid_to_res_id(
                "dunning_sequences.mt_dunning_reminder"
            ),
            "is_internal": True,
            "email_from": self.email_from,
            "author_id": self._get_author().id,
            "reply_to": self._get_reply_to(),
            "partner_ids": [(6, 0, self.recipient_ids.ids)],
            "attachment_ids": [(6, 0, self._get_attachments().ids)],
        }

    def _get_author(self):
        return self.sequence_id.user_id.partner_id or self.company_id.partner_id

    def _get_reply_to(self):
        """The company's catchall, so that answers land on the invoice."""
        return self.company_id.catchall_formatted or self.email_from

    def _get_attachments(self):
        """The template's own files, and the stored PDF of each invoice."""
        files = self._get_text_template().attachment_ids
        return files + self._get_moves_to_attach().invoice_pdf_report_id

    def _get_text_template(self):
        """The template that the text comes from; none for a typed text."""
        template = self.step_id.template_id
        by_template = self.step_id.content == "template"
        return template if by_template else template.browse()

    def _get_moves_to_attach(self):
        """Hook: override to attach others."""
        moves = self._get_current_lines().move_id
        by_mail = self.channel == "email" and self.sequence_id.attach_invoice
        return moves if by_mail else moves.browse()

    def _prepare_notification_vals(self):
        """One row a recipient: the envelope in the chatter, and its colour."""
        vals = {
            "mail_message_id": self.mail_message_id.id,
            "notification_type": "email",
            "notification_status": "ready",
            "is_read": True,
            "author_id": self.mail_message_id.author_id.id,
        }
        return [dict(vals, res_partner_id=partner.id) for partner in self.recipient_ids]

    def _trigger_delivery(self):
        if not self:
            return  # any activity that is done comes by here
        for name in ("ir_cron_dunning_send", "ir_cron_dunning_send_2"):
            cron = self.env.ref(f"dunning_sequences.{name}", raise_if_not_found=False)
            if cron:
                cron.sudo()._trigger()
