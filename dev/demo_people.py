"""What people do in the demo: customers pay and promise, the accountant decides."""

from unittest.mock import patch

from dev import demo_data

SATURDAY = 5


class People:
    # --- customers, and what is agreed with them ---

    def receive_payments(self, late=False):
        when = "; after the run, before delivery" if late else ""
        paid = []
        for move, amount in self.payments.pop((self.day, late), ()):
            wizard = (
                self.env["account.payment.register"]
                .with_context(
                    active_model="account.move",
                    active_ids=move.ids,
                    tracking_disable=True,  # twice as fast
                )
                .create({"amount": amount} if amount else {})
            )
            wizard._create_payments()
            if move.amount_residual:
                left = self.format(move.amount_residual, move.currency_id)
                amount = self.format(amount, move.currency_id)
                about = f"{move.name} ({amount})"
                self.tell("paid in part", about, f"{self.who(move)}, {left} left{when}")
            else:
                paid.append(f"{move.name} {self.who(move)}")
        if paid:
            self.tell("paid", ", ".join(paid) + when)

    def act(self):
        """What the story has in store for this day."""
        for day, what, key, number, detail in demo_data.STORY:
            if day == self.day:
                customer = self.customers[key]
                move = number and self.invoices[key][number - 1]
                getattr(self, f"act_{what}")(customer, move, detail)

    def act_address(self, customer, move, email):
        customer.email = email
        failed = self.env["dunning.reminder"].search(
            [("partner_id", "=", customer.id), ("state", "=", "failed")]
        )
        if failed:
            failed.action_retry()
        what = "retry" if failed else "new address"
        numbers = self.numbers(failed.line_ids.move_id)
        self.tell(what, numbers, f"{customer.name} has the address {email}")

    def act_start_anyway(self, customer, move, _detail):
        move.dunning_enrollment_ids.action_start_anyway()
        self.tell("start anyway", move.name, customer.name)

    def act_pause(self, customer, move, until):
        customer.dunning_paused = True
        customer.dunning_pause_until = self.date_of(until)
        self.hush("pause", customer, until)
        self.tell("pause", "", f"{customer.name}, until {self.date_of(until)}")

    def act_pause_invoice(self, customer, move, until):
        move.write(
            {
                "dunning_paused": True,
                "dunning_pause_until": self.date_of(until),
                "dunning_pause_reason": "The director is on leave",
            }
        )
        self.hush("pause", move, until)
        self.tell("pause", move.name, f"{customer.name}, until {self.date_of(until)}")

    def act_postpone(self, customer, move, day):
        move.dunning_enrollment_ids.action_postpone(self.date_of(day))
        self.hush("postponed", move, day - 1)
        self.tell("postponed", move.name, f"{customer.name}, to {self.date_of(day)}")

    def act_promise(self, customer, move, day):
        move.dunning_promise_date = self.date_of(day)
        self.hush("promise", move, day + demo_data.GRACE)
        self.promises.append((move, day))
        self.tell("promised", move.name, f"{customer.name}, for {self.date_of(day)}")

    def act_dispute(self, customer, move, reason):
        self.env["dunning.hold"].create(
            {
                "kind": "dispute",
                "move_ids": [(6, 0, move.ids)],
                "company_id": self.company.id,
                "amount": move.amount_residual,
                "currency_id": move.currency_id.id,
                "reason": reason,
            }
        )
        self.hush("dispute", move)
        self.tell("disputed", move.name, f"{customer.name}: {reason}")

    def act_settle(self, customer, move, _detail):
        move.dunning_disputed = False
        self.end_silence("dispute", move)
        self.tell("settled", move.name, f"{customer.name}: the dispute is over")

    def act_move(self, customer, move, name):
        customer.dunning_sequence_id = self.sequences[name]
        moves = self.invoices[self.get_key(customer)]
        open_moves = [m for m in moves if m.amount_residual]
        numbers = self.numbers(self.env["account.move"].union(*open_moves))
        to = customer.dunning_sequence_id.name
        self.tell("moved", numbers, f"{customer.name}, to the sequence “{to}”")

    def act_copy(self, customer, move, email):
        move.dunning_email_cc = email

    def act_block(self, customer, move, _detail):
        move.action_toggle_block_payment()
        self.hush("blocked", move)
        self.tell("blocked", move.name, customer.name)

    def act_unblock(self, customer, move, _detail):
        move.action_toggle_block_payment()
        self.end_silence("blocked", move)
        self.tell("unblocked", move.name, customer.name)

    def act_bounce_cheque(self, customer, move, _detail):
        payments = move.matched_payment_ids
        payments.action_draft()
        payments.action_cancel()
        self.bounced_cheques.append((move, self.day))
        self.tell("cheque bounced", move.name, f"{customer.name}: open again")

    # --- who must hear nothing, by the story alone ---

    def hush(self, why, record, until=None):
        """From today: an invoice, or all those of a customer."""
        self.silences.append([why, record, self.day, until])

    def end_silence(self, why, record):
        for silence in self.silences:
            if silence[:2] == [why, record] and silence[3] is None:
                silence[3] = self.day - 1

    def get_silence(self, move, day):
        """Return why an invoice must not be reminded on a day, None if it may."""
        records = (move, move.commercial_partner_id)
        for why, record, first, last in self.silences:
            if record in records and first <= day and (last is None or day <= last):
                return why
        return None

    # --- the accountant ---

    def decide(self):
        """She does what waits for her, in her own name; not at the week-end."""
        if self.date.weekday() >= SATURDAY:
            return
        clerk = self.env(user=self.accountant)
        waiting = clerk["dunning.reminder"].search(
            [("state", "in", ("to_approve", "to_print", "to_do"))], order="id"
        )
        for reminder in waiting:
            key = self.get_story_key(reminder.move_id, reminder.step_name)
            if self.is_time_for(("reminder", reminder.id), key):
                action = "skip" if key in demo_data.SKIPPED else reminder.state
                getattr(self, f"decide_{action}")(reminder)
        by_hand = clerk["dunning.enrollment"].search(
            [("state", "=", "todo"), ("hold_reason", "=", "manual")], order="id"
        )
        for enrollment in by_hand:
            key = self.get_story_key(enrollment.move_id, enrollment.next_step_id.name)
            if self.is_time_for(("enrollment", enrollment.id), key):
                self.decide_by_hand(enrollment)

    def get_story_key(self, move, step_name):
        """(customer, which of his invoices, step), as in `demo_data.LATER`."""
        key = self.get_key(move.commercial_partner_id)
        number = [m.id for m in self.invoices[key]].index(move.id) + 1
        return key, number, step_name

    def get_key(self, customer):
        return next(k for k, c in self.customers.items() if c.id == customer.id)

    def is_time_for(self, what, key):
        since = self.waiting_since.setdefault(what, self.day)
        return self.day >= since + demo_data.LATER.get(key, 0)

    def decide_to_approve(self, reminder):
        reminder.action_approve()
        self.approved.add(reminder.id)
        self.tell_decision("approved", reminder)

    def decide_skip(self, reminder):
        reminder.action_skip()
        self.tell_decision("skipped", reminder)

    def decide_to_print(self, reminder):
        # A page needs its styles, which a web server gives: there is none here. The PDF
        # is made when somebody prints the letter again.
        with patch.object(type(reminder), "_can_make_letters", lambda _self: False):
            reminder.action_print()
        self.printed[reminder.id] = self.date
        self.tell_decision("printed", reminder)

    def decide_to_do(self, reminder):
        reminder.activity_id.action_feedback("She will look into it.")
        self.done_by_hand.append((reminder.move_id.id, reminder.step_name, self.date))
        self.tell_decision("called", reminder)

    def decide_by_hand(self, enrollment):
        step = enrollment.next_step_id.name
        enrollment.action_record()
        self.done_by_hand.append((enrollment.move_id.id, step, self.date))
        rest = f"{self.who(enrollment.move_id)}: {step}"
        self.tell("recorded", enrollment.move_id.name, rest)
