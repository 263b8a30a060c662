from odoo import api, fields, models
from odoo.tools import SQL

#: What a mark can name, and how the invoices concerned are found from it.
KINDS = ("move", "posted", "partner", "company", "sequence")

#: Invoices of customers, and those of them that are not settled yet.
SALES = SQL("move_type IN ('out_invoice', 'out_receipt')")
OPEN = SQL(
    "state = 'posted' AND payment_state IN"
    " ('not_paid', 'partial', 'in_payment', 'blocked')"
)

#: Left in place of marks that were drained: who has not seen it knows that some are
#: gone. A day later nobody asks any more.
DRAINED = "drained"


class DunningMark(models.Model):
    """Something changed: the invoices concerned must be looked at again.

    The only thing that the hooks on invoices, payments and settings do is to
    insert rows here, once per transaction and without touching any other row:
    posting and paying neither wait for the engine nor fail because of it. The
    run drains the table. `posted` marks also tell the day of posting, which
    Odoo does not keep.
    """

    _name = "dunning.mark"
    _description = "Reminder Mark"
    _log_access = False

    kind = fields.Char(required=True)
    res_id = fields.Integer(required=True)
    day = fields.Date(required=True)

    _record_idx = models.Index("(kind, res_id)")

    @api.model
    def _mark(self, kind, ids, day=None, wake=True):
        """Note that records changed; written at the end of the transaction.

        :param day: of the company, where the day matters
        :param wake: have them looked at at once; else the caller does it himself,
            and the mark is for the case that he dies before
        """
        if not ids:
            return
        precommit = self.env.cr.precommit
        marks = precommit.data.setdefault("dunning_marks", {})
        if not marks:
            precommit.add(self.sudo()._write_marks)
        if wake:
            precommit.data["dunning_wake"] = True
        day = day or fields.Date.today()
        for res_id in ids:
            marks.setdefault((kind, res_id), day)

    def _write_marks(self):
        data = self.env.cr.precommit.data
        marks, wake = data.pop("dunning_marks", {}), data.pop("dunning_wake", False)
        if not marks:
            return
        rows = [(kind, res_id, day) for (kind, res_id), day in marks.items()]
        self.env.cr.execute_values(
            "INSERT INTO dunning_mark (kind, res_id, day) VALUES %s", rows
        )
        if wake:
            self._trigger_drain()

    @api.model
    def _trigger_drain(self):
        cron = self.env.ref(
            "dunning_sequences.ir_cron_dunning_reconcile", raise_if_not_found=False
        )
        if cron:
            cron.sudo()._trigger()

    @api.model
    def _is_marked(self, names, known_ids):
        """Has one of these records changed, other than what is known?

        :param names: {kind: ids}
        :param known_ids: marks that were there before; a number would not do: the
            one with the lower number may be committed later
        """
        marks = self.env.cr.precommit.data.get("dunning_marks", {})  # not written yet
        if any(
            (kind, res_id) in marks for kind, ids in names.items() for res_id in ids
        ):
            return True
        return bool(self._read_ids(names) - known_ids)

    @api.model
    def _read_ids(self, names):
        """Return the ids of the marks of some records: {kind: ids}."""
        same = SQL(" OR ").join(
            SQL("kind = %s AND res_id = ANY(%s)", kind, ids)
            for kind, ids in names.items()
        )
        rows = self.env.execute_query(SQL("SELECT id FROM dunning_mark WHERE %s", same))
        return {mark_id for (mark_id,) in rows}

    @api.model
    def _read_marks(self, limit):
        """Return (ids of marks, ids of the invoices concerned, {id: posted on})."""
        self.env.flush_all()
        self.env.cr.precommit.run()
        rows = self.env.execute_query(
            SQL(
                "SELECT id, kind, res_id, day FROM dunning_mark WHERE kind = ANY(%s)"
                " ORDER BY id LIMIT %s",
                list(KINDS),
                limit,
            )
        )
        ids, posted = {kind: set() for kind in KINDS}, {}
        for _id, kind, res_id, day in rows:
            ids[kind].add(res_id)
            if kind == "posted":
                posted[res_id] = min(day, posted.get(res_id, day))
        return [row[0] for row in rows], self._get_move_ids(ids), posted

    @api.model
    def _forget(self, mark_ids):
        """The invoices were looked at. To look twice does no harm, never would."""
        if mark_ids:
            self.env.cr.execute(
                "DELETE FROM dunning_mark WHERE id = ANY(%s);"
                "INSERT INTO dunning_mark (kind, res_id, day) VALUES (%s, 0, now())",
                [mark_ids, DRAINED],
            )

    @api.autovacuum
    def _gc_drained(self):
        self.env.cr.execute(
            "DELETE FROM dunning_mark WHERE kind = %s AND day < CURRENT_DATE - 1",
            [DRAINED],
        )

    @api.model
    def _get_move_ids(self, ids):
        """Expand marks to invoices: the open ones, and those enrolled.

        A minimum amount, and days between reminders, are the customer's: what
        happens to one invoice decides about his others.
        """
        queries = [
            query(list(marked))
            for marked, query in (
                (ids["move"] | ids["posted"], self._get_sql_of_moves),
                (ids["partner"], self._get_sql_of_partners),
                (ids["company"], self._get_sql_of_companies),
                (ids["sequence"], self._get_sql_of_sequences),
            )
            if marked
        ]
        if not queries:
            return []
        rows = self.env.execute_query(SQL(" UNION ").join(queries))
        return [move_id for (move_id,) in rows]

    @api.model
    def _get_sql_of_moves(self, move_ids):
        return SQL(
            """
            SELECT id FROM account_move WHERE %(sales)s AND id = ANY(%(ids)s)
             UNION
            SELECT others.move_id
              FROM (SELECT company_id, commercial_partner_id AS partner_id
                      FROM account_move WHERE id = ANY(%(ids)s)
                    UNION
                    SELECT company_id, partner_id FROM dunning_enrollment
                     WHERE move_id = ANY(%(ids)s)) AS customer
              JOIN dunning_enrollment others USING (company_id, partner_id)
              JOIN dunning_sequence sequence ON sequence.id = others.sequence_id
             WHERE others.state NOT IN ('stopped', 'done')
               AND (sequence.min_amount > 0 OR sequence.min_contact_days > 0
                    OR others.hold_reason = 'credits')
            """,
            sales=SALES,
            ids=move_ids,
        )

    @api.model
    def _get_sql_of_partners(self, partner_ids):
        return self._get_sql_of_open(
            SQL(
                "commercial_partner_id = ANY(%(ids)s) OR partner_id = ANY(%(ids)s)",
                ids=partner_ids,
            ),
            SQL("state != 'stopped' AND partner_id = ANY(%s)", partner_ids),
        )

    @api.model
    def _get_sql_of_companies(self, company_ids):
        return self._get_sql_of_open(
            SQL("company_id = ANY(%s)", company_ids),
            SQL("state != 'stopped' AND company_id = ANY(%s)", company_ids),
        )

    @api.model
    def _get_sql_of_sequences(self, sequence_ids):
        """Its company's and all branches' invoices: it may become theirs."""
        return self._get_sql_of_open(
            SQL(
                """
                company_id IN (
                   SELECT child.id
                     FROM dunning_sequence sequence
                     JOIN res_company parent ON parent.id = sequence.company_id
                     JOIN res_company child
                       ON child.parent_path LIKE parent.parent_path || '%%'
                    WHERE sequence.id = ANY(%s))
                """,
                sequence_ids,
            ),
            SQL("sequence_id = ANY(%s)", sequence_ids),
        )

    @api.model
    def _get_sql_of_open(self, of_moves, of_enrollments):
        """Open invoices of which the first is true, and enrolled ones of the second."""
        return SQL(
            """
            SELECT id FROM account_move WHERE %s AND %s AND (%s)
             UNION
            SELECT move_id FROM dunning_enrollment WHERE %s
            """,
            SALES,
            OPEN,
            of_moves,
            of_enrollments,
        )
