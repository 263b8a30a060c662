from odoo import api, fields, models


class DunningAttempt(models.Model):
    """One hand-over of a reminder to a mail server: the journal.

    A row is committed, on a connection of its own, just before the dot that
    ends the message: the point of no return. Insert-only. A row without an
    answer in the reminder means "may have left": it is never sent again by
    itself. No foreign key: it must not wait for anybody's transaction.
    """

    _name = "dunning.attempt"
    _description = "Reminder Hand-over"
    _log_access = False
    _order = "id desc"

    message_id = fields.Char(required=True, readonly=True)
    attempt = fields.Integer(required=True, readonly=True)
    started_at = fields.Datetime(required=True, readonly=True)

    _attempt_uniq = models.UniqueIndex("(message_id, attempt)")

    @api.model
    def _write_ahead(self, message_id, attempt):
        """Journal a hand-over; return False when it was journalled before."""
        with self.env.registry.cursor() as cr:
            cr.execute(
                """
                INSERT INTO dunning_attempt (message_id, attempt, started_at)
                VALUES (%s, %s, now() AT TIME ZONE 'UTC')
                ON CONFLICT DO NOTHING RETURNING id
                """,
                [message_id, attempt],
            )
            return bool(cr.fetchone())

    @api.autovacuum
    def _gc_attempts(self):
        """Forget the hand-overs of more than 90 days ago."""
        limit = 10_000
        old = self.search([("started_at", "<", "-90d")], limit=limit + 1)
        old[:limit].sudo().unlink()
        return len(old[:limit]), len(old) > limit
