"""What came out of the races: mails held against the moments of what people did."""

from collections import defaultdict

from dev import torture_lib
from dev.race_actions import PAYS, SETTLES_INVOICE, SETTLES_OTHERWISE

#: Seconds that a payment may wait for the engine.
LONGEST_WAIT = 2.0


class Outcome(torture_lib.Outcome):
    """What arrived and when, held against who did what and when."""

    def __init__(self, ground):
        super().__init__(ground.folder / "mails")
        self.ground = ground
        self.acts = ground.read(ground.acts)
        self.waits = ground.read(ground.waits)
        self.leases = {row["message_id"]: row for row in ground.read(ground.leases)}
        self.settled_at = {
            act["invoice"]: act
            for act in self.acts
            if not act["error"] and act["name"] in SETTLES_INVOICE | SETTLES_OTHERWISE
        }

    def get_problems(self, env):
        yield from self.get_errors()
        yield from self.get_duplicates(env)
        yield from self.get_too_late(env)
        yield from self.get_lost(env)
        yield from get_untrue(env, self.ground.told)

    def get_errors(self):
        """Nobody is told of a collision, and no money waits or is refused."""
        for act in self.acts:
            wrong = act["error"] and (act["name"] in PAYS or not act["expected"])
            if wrong and not self.is_second(act):
                told = self.ground.told.get(act["invoice"])
                yield f"{told}: {act['name']} failed: {act['error'][:300]}"
        for wait in self.waits:
            if wait["name"] in PAYS and wait["waited"] > LONGEST_WAIT:
                yield f"{wait['name']} waited for the engine {wait['waited']:.1f} s"

    def is_second(self, act):
        """Of two who pay the same invoice one is told that it is paid."""
        others = [
            other
            for other in self.acts
            if other["invoice"] == act["invoice"]
            and other["name"] in PAYS
            and not other["error"]
        ]
        return act["expected"] and bool(others)

    def get_duplicates(self, env):
        for message_id, times in self.arrived.items():
            if times > 1:
                yield f"{message_id} arrived {times} times"
        yield from self.get_strangers(env)
        reminders = env["dunning.reminder"].search(
            [("message_id", "in", [*self.arrived])]
        )
        said = defaultdict(list)
        for line in reminders.line_ids.filtered(lambda line: not line.dropped):
            said[line.move_id, line.sent_on].append(line)
            if line.state not in ("sent", "doubtful"):
                yield f"{self.name(line.move_id)}: arrived, but it is {line.state}"
        for (move, day), lines in said.items():
            if len(lines) > self.count_wanted(env, lines):
                states = [(line.step_name, line.state) for line in lines]
                yield f"{self.name(move)}: on {day} {states}"

    def count_wanted(self, env, lines):
        """One, and each by hand of somebody who could see the one that had arrived."""
        first = min(self.arrived_at[line.reminder_id.message_id] for line in lines)
        by_hand = [line for line in lines if line.reminder_id.origin == "manual"]
        return 1 + sum(is_composed_after(env, line, first) for line in by_hand)

    def get_too_late(self, env):
        """Reminders of what had been settled when they were written, or left."""
        env.cr.execute(
            """
            SELECT line.move_id, reminder.message_id, reminder.state,
                   extract(epoch FROM reminder.create_date AT TIME ZONE 'UTC')
              FROM dunning_reminder reminder
              JOIN dunning_reminder_line line ON line.reminder_id = reminder.id
             WHERE line.move_id = ANY(%s) AND reminder.origin != 'recorded'
               AND reminder.state != 'failed'
            """,
            [[*self.settled_at]],
        )
        for move_id, message_id, state, began in env.cr.fetchall():
            act = self.settled_at[move_id]
            name = self.name(env["account.move"].browse(move_id))
            late = float(began) - act["done_at"]
            if late > 0:
                yield f"{name}: written {late:.3f} s after ({state})"
            lease = self.leases.get(message_id)
            moment = "asked" if act["name"] in SETTLES_INVOICE else "leased"
            if message_id in self.arrived and lease[moment] > act["done_at"]:
                late = lease[moment] - act["done_at"]
                yield f"{name}: left {late:.3f} s after it was settled"

    def get_lost(self, env):
        """Whoever nothing was done to is reminded as ever."""
        for move in env["account.move"].browse(self.ground.bystanders):
            reminders = move.dunning_reminder_line_ids.filtered("counts").reminder_id
            if [r.message_id in self.arrived for r in reminders] != [True]:
                states = reminders.mapped("state")
                yield f"{self.name(move)}: nothing was done to it, but {states}"

    def name(self, move):
        return f"{move.name} ({self.ground.told.get(move.id)})"

    def tell(self):
        waits = defaultdict(list)
        for wait in self.waits:
            waits[wait["name"]].append(wait["waited"])
        print(
            f"\n{'action':40} {'times':>5} {'tried again':>12} {'most tries':>11} "
            f"{'told no':>8} {'waited':>7} {'longest':>8}"
        )
        for name in sorted({act["name"] for act in self.acts}):
            acts = [act for act in self.acts if act["name"] == name]
            tries = [act["tries"] for act in acts]
            print(
                f"{name:40} {len(acts):5} {sum(n > 1 for n in tries):12} "
                f"{max(tries):11} {sum(bool(act['error']) for act in acts):8} "
                f"{len(waits[name]):7} {max(waits[name], default=0):7.2f}s"
            )
        longest = max((max(waits[name], default=0) for name in PAYS), default=0)
        ahead = sum(lease["ahead"] for lease in self.leases.values())
        print(
            f"{len(self.acts)} actions, {len(self.mails)} mails ({ahead} of "
            f"{len(self.leases)} looked at were made ahead). “Waited”: for a lock "
            f"of the engine that was not standing still; a payment {longest:.2f} s "
            "at most."
        )


def is_composed_after(env, line, moment):
    """Did its author open the composer after something had arrived?"""
    env.cr.execute(
        """
        SELECT EXISTS (
            SELECT FROM dunning_reminder_compose composer
              JOIN account_move_dunning_reminder_compose_rel AS chosen
                ON chosen.dunning_reminder_compose_id = composer.id
             WHERE chosen.account_move_id = %s AND composer.sent
               AND composer.create_uid = %s
               AND extract(epoch FROM composer.create_date AT TIME ZONE 'UTC') > %s)
        """,
        [line.move_id.id, line.create_uid.id, moment],
    )
    return env.cr.fetchone()[0]


def read_enrollments(env):
    names = ("move_id", "due_date", "state", "hold_reason", "hold_until")
    names += ("sequence_id", "next_step_id", "next_date", "occurrence", "partner_id")
    env.cr.execute(f"SELECT {', '.join(names)} FROM dunning_enrollment")
    return {
        (row[0], row[1]): dict(zip(names[2:], row[2:], strict=True))
        for row in env.cr.fetchall()
    }


def get_untrue(env, told):
    """A look at everything must find nothing new."""
    before = read_enrollments(env)
    enrollments = env["dunning.enrollment"].search([])
    moves = enrollments.move_id | env["account.move"].browse(told).exists()
    env["dunning.enrollment"]._reconcile(moves)
    env.flush_all()
    after = read_enrollments(env)
    for key in before.keys() | after.keys():
        if before.get(key) != after.get(key):
            move = env["account.move"].browse(key[0])
            yield (
                f"{move.name} ({told.get(move.id)}): says {before.get(key)}, "
                f"but it is {after.get(key)}"
            )
    env.cr.rollback()
