"""By hand: what a person may remind of, and at which step.

The same rows and decisions as those of the run. What only spares the customer, or
concerns the sequence, does not bind a person who chose the invoices himself; a hold
and a payment do.
"""

from odoo import api, models
from odoo.exceptions import UserError

from ..tools import plan
from .dunning_reminder import STATES_PENDING

#: Reasons that do not bind a person. See `dunning.enrollment._filter_remindable`.
NOT_BINDING = ("comparison", "from_date", "no_sequence", "not_sent", "sequence_off")

#: What an instalment is made of that is reminded by hand: see `_new_by_hand`.
IN_MEMORY = (
    "move_id",
    "due_date",
    "move_line_id",
    "partner_id",
    "company_id",
    "sequence_id",
    "next_step_id",
    "occurrence",
    "state",
)

#: What the rows are read from.
READ_MODELS = (
    "account.move",
    "account.move.line",
    "dunning.enrollment",
    "dunning.hold",
    "dunning.reminder",
    "dunning.reminder.line",
    "dunning.sequence",
    "res.partner",
)


class DunningEnrollment(models.Model):
    _inherit = "dunning.enrollment"

    @api.model
    def _read_by_hand(self, moves, today):
        """Return a row for each instalment of some invoices: see `_read_instalments`.

        With ``reason``: why even a person cannot remind of it, None if he can;
        ``coming``: the step, and its occurrence, that a reminder sent now counts as.
        No step: it counts as none, and the sequence goes on after it as after a
        reminder of another one; ``sequence_id``: the one followed, else the one whose
        texts are proposed.
        """
        for name in READ_MODELS:  # not all: a form that is open may be half computed
            self.env[name].flush_model()
        rows = self._read_instalments(moves.ids, today, {})
        rhythms = self._read_rhythms(rows)
        pending = self._read_pending_steps(moves)
        favourites = {}
        planned = {}
        for row in rows:
            row["sequence_id"] = row["wanted_id"] or self._get_favourite(
                row, favourites
            )
            row["reason"] = self._get_by_hand_objection(row)
            row["decision"] = self._decide(row, rhythms, planned)
            row["coming"] = pending.get(
                (row["move_id"], row["due_date"])
            ) or self._get_by_hand_step(row)
        return rows

    @api.model
    def _get_favourite(self, row, favourites):
        """The id of the sequence proposed where none is followed, once per company."""
        company = self.env["res.company"].browse(row["move_company_id"])
        if company not in favourites:
            favourites[company] = company._get_dunning_favourite().id
        return favourites[company]

    @api.model
    def _read_pending_steps(self, moves):
        """{instalment: (step, occurrence)} of what waits for a person already."""
        lines = self.env["dunning.reminder.line"].search_fetch(
            [
                ("move_id", "in", moves.ids),
                ("reminder_id.state", "in", STATES_PENDING),
                ("dropped", "=", False),
            ],
            ["move_id", "due_date", "step_id", "occurrence"],
        )
        return {
            (line.move_id.id, line.due_date): (line.step_id, line.occurrence)
            for line in lines
        }

    @api.model
    def _get_by_hand_objection(self, row):
        """Why even a person cannot remind of an instalment. Hook."""
        reason = self._get_over_reason(row)
        if reason and reason not in NOT_BINDING:
            return reason
        if row["hold_kind"]:
            return row["hold_kind"]
        sequence = self.env["dunning.sequence"].browse(row["wanted_id"])
        reason = self._get_hold_reason(row, sequence)
        if reason in NOT_BINDING:  # it may hide that a reminder is about to leave
            reason = "leaving" if row["last_state"] == "queued" else None
        return reason

    @api.model
    def _get_by_hand_step(self, row):
        """The coming step; of what no sequence sends, the one reached by age."""
        Step = self.env["dunning.sequence.step"]
        decision = row["decision"] or {}
        if decision.get("next_step_id"):
            return Step.browse(decision["next_step_id"]), decision["occurrence"]
        sequence = self.env["dunning.sequence"].browse(row["sequence_id"])
        step = sequence._get_step_reached(row["due_date"], row["today"])
        said = step.id in (row["said_step_ids"] or ())
        return (Step if said else step), 0

    @api.model
    def _get_chosen_step(self, row, chosen):
        """What a reminder with the text of a chosen step counts as: (step, occurrence).

        That step itself, where it is no step back in the sequence of the instalment;
        so it does not leave again by itself. Otherwise the choice is only about the
        text. Of an instalment without sequence: that step, the first time.
        """
        coming, occurrence = row["coming"]
        if not chosen or chosen == coming:
            return coming, occurrence
        said = row["said_step_ids"] or ()
        if not row["wanted_id"]:
            known = chosen.id in said
            return (chosen.browse() if known else chosen), 0
        order = chosen.sequence_id.step_ids.sorted("sequence").ids
        if chosen.sequence_id.id != row["wanted_id"] or chosen.id in said:
            return coming, occurrence
        behind = [coming.id, *said] if coming else said
        latest = max((order.index(i) for i in behind if i in order), default=-1)
        ahead = order.index(chosen.id) > latest
        return (chosen, 0) if ahead else (coming, occurrence)

    @api.model
    def _new_by_hand(self, row, chosen):
        """The instalment as it is reminded by hand; in memory, never written."""
        step, occurrence = self._get_chosen_step(row, chosen)
        return self.new(
            {
                "move_id": row["move_id"],
                "due_date": row["due_date"],
                "move_line_id": row["move_line_id"],
                "partner_id": row["commercial_partner_id"],
                "company_id": row["move_company_id"],
                "sequence_id": row["wanted_id"]
                or chosen.sequence_id.id
                or row["sequence_id"],
                "next_step_id": step.id,
                "occurrence": occurrence,
                "state": "running",
            }
        )

    def _take_by_hand(self):
        """Read again, under lock, what a person decides about.

        Whoever pays now is done before we look, or waits until we are. The rows are
        written, not only locked: who clicked at the same instant must look again.
        """
        self.env.flush_all()
        self.env.cr.execute(
            "SELECT id FROM account_move WHERE id = ANY(%s) ORDER BY id FOR SHARE",
            [self.move_id.ids],
        )
        self.env.cr.execute(
            """
            UPDATE dunning_enrollment SET write_date = write_date WHERE id IN (
                   SELECT id FROM dunning_enrollment WHERE id = ANY(%s)
                 ORDER BY id FOR NO KEY UPDATE)
            """,
            [self.ids],
        )
        self._reconcile(self.move_id)

    def _check_first_today(self):
        """Who clicks while a reminder leaves means that one, not the one behind it.

        A click does not say which step was seen; who writes it himself reads it.

        :raise UserError: when one of these instalments was reminded of today
        """
        said = self.env["dunning.reminder.line"].sudo()
        said = said.search(
            [
                ("move_id", "in", self.move_id.ids),
                ("counts", "=", True),
                ("reminder_id.state", "in", ("sent", "doubtful", "recorded")),
            ]
        )
        mine = {(enrollment.move_id, enrollment.due_date) for enrollment in self}
        for line in said:
            today = line.company_id._dunning_today()
            if line.sent_on == today and (line.move_id, line.due_date) in mine:
                raise UserError(
                    self.env._(
                        "%(invoice)s has been reminded of today: “%(step)s”. If the "
                        "next step is to follow on the same day, write it yourself: "
                        "select the invoice and choose Send payment reminders.",
                        invoice=line.move_name,
                        step=line.step_name,
                    )
                )

    @api.model
    def _keep_in_memory(self, enrollments):
        """Return what `_recall` needs: a savepoint forgets what is only in memory."""
        return {
            enrollment: {name: enrollment[name] for name in IN_MEMORY}
            for enrollment in enrollments
            if not enrollment.id
        }

    @api.model
    def _recall(self, memory):
        for enrollment, values in memory.items():
            enrollment._update_cache(values, validate=False)

    def _get_text_step(self, today):
        """The step whose text is proposed; an activity has none for the customer."""
        self.ensure_one()
        sequence = self.sequence_id
        step = self.next_step_id or sequence._get_step_reached(self.due_date, today)
        if step.channel != "activity":
            return step
        steps = step.sequence_id.step_ids.sorted("sequence")
        before = steps[: steps.ids.index(step.id)]
        written = [s for s in (*reversed(before), *steps) if s.channel != "activity"]
        return written[0] if written else step.browse()

    def action_compose(self):
        """Open the composer for the invoices of these instalments."""
        self.check_access("read")
        return self.move_id.action_dunning_compose()


class DunningSequence(models.Model):
    _inherit = "dunning.sequence"

    def _get_step_reached(self, due_date, today):
        """The step that the age of an instalment has reached; before all, the first."""
        steps = self.step_ids.sorted(lambda step: (step.sequence, step.id))
        age = (today - due_date).days
        offsets = plan.offsets(self._get_rhythm()) if self else ()
        reached = [
            step for step, days in zip(steps, offsets, strict=True) if days <= age
        ]
        return reached[-1] if reached else steps[:1]


class ResCompany(models.Model):
    _inherit = "res.company"

    def _get_dunning_favourite(self):
        """The sequence whose texts are proposed for invoices that follow none."""
        self.ensure_one()
        parents = self.sudo().parent_ids.sorted("parent_path", reverse=True)
        default = next((c for c in parents if c.dunning_sequence_id), self)
        return (
            default.sudo().dunning_sequence_id
            or self.env["dunning.sequence"]
            .sudo()
            .search([("company_id", "parent_of", self.id)])
            .filtered("step_ids")
            .sorted(lambda sequence: sequence.state != "running")[:1]
        )


class AccountMove(models.Model):
    _inherit = "account.move"

    def action_dunning_compose(self):
        """Open the composer for these invoices (I03, E05, E10, G11).

        :raise UserError: when they belong to several companies
        """
        self.env["dunning.hold"].check_access("create")
        self.check_access("read")
        moves = self.filtered(lambda m: m.move_type in ("out_invoice", "out_receipt"))
        if not moves:
            raise UserError(
                self.env._("Choose customer invoices to send payment reminders for.")
            )
        if len(moves.company_id) > 1:
            raise UserError(
                self.env._(
                    "These invoices belong to several companies. Choose those of one "
                    "company, then send the reminders."
                )
            )
        self.env["dunning.enrollment"]._create_portal_tokens(
            moves.filtered(lambda move: move.state == "posted")
        )
        wizard = self.env["dunning.reminder.compose"].create(
            {"move_ids": [(6, 0, moves.ids)]}
        )
        wizard.flush_recordset()
        return wizard._get_composer_action()


class ResPartner(models.Model):
    _inherit = "res.partner"

    def action_dunning_compose(self):
        """Open the composer for all that these customers owe and is due."""
        self.check_access("read")
        today = self.env.company._dunning_today()
        lines = self.env["account.move.line"].search_fetch(
            [
                ("company_id", "=", self.env.company.id),
                ("move_id.commercial_partner_id", "in", self.commercial_partner_id.ids),
                ("move_id.move_type", "in", ("out_invoice", "out_receipt")),
                ("move_id.payment_state", "in", ("not_paid", "partial")),
                ("parent_state", "=", "posted"),
                ("display_type", "=", "payment_term"),
                ("reconciled", "=", False),
                ("date_maturity", "<=", today),
            ],
            ["move_id"],
            order="date_maturity, id",
        )
        if not lines:
            raise UserError(
                self.env._("There is no invoice due to remind of: all is paid.")
            )
        return lines.move_id.action_dunning_compose()
