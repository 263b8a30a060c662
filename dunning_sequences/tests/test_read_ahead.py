"""Mails are made ahead, some at once: what happens meanwhile must still be heard."""

from contextlib import contextmanager
from datetime import timedelta
from unittest.mock import patch

from odoo.tests import tagged

from .common import DunningCommon


@tagged("post_install", "-at_install")
class TestReadAhead(DunningCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.sequence = cls._create_default((7,), (14,))
        cls.first, cls.second, cls.third = (
            cls._create_invoice_due("03-01", customer=cls._create_customer(name))
            for name in ("One", "Two", "Three")
        )

    @contextmanager
    def meanwhile(self, event):
        """Something happens after the mails were made, before the second's turn."""
        registry = type(self.Reminder)
        deliver_one, turns = registry._deliver_one, []

        def delivering(records, run, reminder_id):
            turns.append(reminder_id)
            if len(turns) == 2:
                event()
                self.env.flush_all()
            return deliver_one(records, run, reminder_id)

        with patch.object(registry, "_deliver_one", delivering):
            yield

    def deliver_while(self, event):
        """Return to whom mails were sent, and how many were looked at alone."""
        self.compose_day("03-08")
        registry = type(self.Reminder)
        with (
            self.meanwhile(event),
            patch.object(
                registry, "_recheck", autospec=True, side_effect=registry._recheck
            ) as recheck,
        ):
            self.deliver()
        return [mail.recipients[0].partition("@")[0] for mail in self.sink.mails], (
            recheck.call_count
        )

    def test_nothing_happens_and_none_is_looked_at_alone(self):
        whom, alone = self.deliver_while(lambda: None)
        self.assertEqual(whom, ["one", "two", "three"])
        self.assertEqual(alone, 0)

    def test_paid_meanwhile_is_not_reminded(self):
        whom, _alone = self.deliver_while(lambda: self.pay(self.second))
        self.assertEqual(whom, ["one", "three"])

    def test_paid_in_part_meanwhile_names_what_remains(self):
        whom, alone = self.deliver_while(lambda: self.pay(self.second, 40))
        self.assertEqual(whom, ["one", "two", "three"])
        self.assertEqual(alone, 1)
        (mail,) = (m for m in self.sink.mails if m.recipients[0].startswith("two"))
        self.assertIn("60.00", mail.html)

    def test_held_meanwhile_waits(self):
        def pause():
            self.second.dunning_paused = True

        whom, alone = self.deliver_while(pause)
        self.assertEqual(whom, ["one", "three"])
        self.assertEqual(alone, 1)

    def test_held_meanwhile_waits_also_at_the_last_step(self):
        self.sequence.step_ids[1].unlink()

        def dispute():
            self.env["dunning.hold"].create(
                {"kind": "dispute", "move_ids": [(6, 0, self.second.ids)]}
            )
            self.drain()  # another cron, and the marks are gone

        whom, alone = self.deliver_while(dispute)
        self.assertEqual(whom, ["one", "three"])
        self.assertEqual(alone, 2)  # who knows what else was drained

    def test_customer_held_meanwhile_waits(self):
        def pause():
            self.second.partner_id.dunning_paused = True

        whom, _alone = self.deliver_while(pause)
        self.assertEqual(whom, ["one", "three"])

    def test_mark_with_a_lower_number_is_committed_later(self):
        partner = self.second.partner_id
        mark_id = (
            self.env["dunning.mark"]
            .sudo()
            .create({"kind": "partner", "res_id": 0, "day": "2026-03-08"})
            .id
        )
        self.env["dunning.mark"]._mark("move", self.third.ids)

        def pause():
            partner.dunning_paused = True
            self.env.flush_all()
            self.env.cr.precommit.data.pop("dunning_marks")
            self.env.cr.execute(
                "UPDATE dunning_mark SET res_id = %s WHERE id = %s",
                [partner.id, mark_id],
            )

        whom, _alone = self.deliver_while(pause)
        self.assertEqual(whom, ["one", "three"])

    def test_address_changed_meanwhile_is_used(self):
        def move():
            self.second.partner_id.email = "new@customer.example.com"
            self.drain()

        whom, _alone = self.deliver_while(move)
        self.assertEqual(whom, ["one", "new", "three"])

    def test_sequence_stopped_meanwhile_sends_no_more(self):
        whom, _alone = self.deliver_while(self.sequence.action_stop)
        self.assertEqual(whom, ["one"])

    def test_cancelled_meanwhile_is_not_sent(self):
        def cancel():
            self.second.dunning_reminder_line_ids.reminder_id.action_cancel()

        whom, _alone = self.deliver_while(cancel)
        self.assertEqual(whom, ["one", "three"])

    def test_an_invoice_that_is_being_changed_waits_for_a_minute(self):
        self.compose_day("03-08")
        registry = type(self.Reminder)
        settled = registry._are_moves_settled
        locked = self.second.dunning_reminder_line_ids.reminder_id

        def is_settled(reminder, versions):
            return reminder.id != locked.id and settled(reminder, versions)

        with patch.object(registry, "_are_moves_settled", is_settled):
            self.deliver()
        self.drain()
        self.assertEqual(len(self.sink.mails), 2)
        self.assertIn("being changed", locked.failure_reason)
        self.assertNext(self.second, "held", "03-15 S2", reason="leaving")
        self.deliver(self.now() + timedelta(minutes=1))
        self.assertEqual(locked.state, "sent")
        self.assertFalse(locked.failure_reason)

    def test_one_that_cannot_be_made_fails_alone(self):
        self.compose_day("03-08")
        registry = type(self.Reminder)
        build = registry._build_message
        poison = self.second.dunning_reminder_line_ids.reminder_id

        def broken(reminder):
            if reminder.id == poison.id:
                raise ValueError("no mail of this")
            return build(reminder)

        with patch.object(registry, "_build_message", broken):
            self.deliver()
        self.assertEqual(len(self.sink.mails), 2)
        self.assertEqual(poison.state, "failed")
        self.assertIn("no mail of this", poison.failure_reason)

    def test_what_another_worker_has_taken_is_left_to_him(self):
        self.compose_day("03-08")
        self.env.cr.execute(
            "UPDATE dunning_reminder SET leased_until = clock_timestamp()"
            " AT TIME ZONE 'UTC' + INTERVAL '20 seconds' WHERE id = %s",
            [self.second.dunning_reminder_line_ids.reminder_id.id],
        )
        self.deliver()
        self.assertEqual(len(self.sink.mails), 2)

    def test_what_a_dead_worker_has_taken_is_taken_by_another_at_the_end(self):
        self.compose_day("03-08")
        self.env.cr.execute(
            "UPDATE dunning_reminder SET leased_until = clock_timestamp()"
            " AT TIME ZONE 'UTC' - INTERVAL '1 second' WHERE id = %s",
            [self.first.dunning_reminder_line_ids.reminder_id.id],
        )
        with patch("odoo.addons.dunning_sequences.models.read_ahead.BATCH", 2):
            self.deliver()
        whom = [mail.recipients[0].partition("@")[0] for mail in self.sink.mails]
        self.assertEqual(whom, ["two", "three", "one"])
