import doctest
from collections import namedtuple
from datetime import date, timedelta
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from odoo.tests import BaseCase, tagged

from ..tools import plan
from ..tools.plan import CROSSING, DUE_DATE, FIRST, LATEST, PREVIOUS, Entry, Last, Step

DUE = date(2026, 3, 1)

Sent = namedtuple("Sent", "step_id occurrence sent_on")

#: The same examples each time: a check that fails once a week helps nobody.
repeatable = settings(derandomize=True, deadline=None, max_examples=200, database=None)


def at(days):
    """Return the day that lies so many days after the due date."""
    return DUE + timedelta(days=days)


@st.composite
def rhythms(draw, first_id=1, repeating=True):
    """Draw the steps of a sequence that can be saved."""
    delays = draw(st.lists(st.integers(-20, 60), min_size=1, max_size=4, unique=True))
    steps = []
    for delay in sorted(delays):
        steps.append((DUE_DATE, delay))
        for gap in draw(st.lists(st.integers(1, 20), max_size=2)):
            steps.append((PREVIOUS, gap))
    rules = [
        Step(first_id + i, trigger, delay) for i, (trigger, delay) in enumerate(steps)
    ]
    if repeating and draw(st.booleans()):
        every, times = draw(st.tuples(st.integers(1, 15), st.integers(1, 4)))
        last = rules[-1]
        rules[-1] = Step(last.id, last.trigger, last.delay, every, times)
    return tuple(rules)


catch_ups = st.sampled_from((CROSSING, LATEST, FIRST))
entry_days = st.integers(-60, 120).map(at)
#: Which of the coming days the engine runs on; afterwards it runs every day.
outages = st.lists(st.booleans(), max_size=150)


def live(steps, entry, runs, before=()):
    """Live through days, some without a run; return what was sent.

    A run can come back to the same day: nothing says that it leaves at most one.

    :param before: what was sent by another sequence
    """
    sent, day = list(before), entry.on
    while coming := plan.following(steps, DUE, entry, get_last(sent)):
        day = max(day, coming.date)
        while not _runs_on((day - entry.on).days, runs):
            day += timedelta(days=1)
        sent.append(Sent(coming.step_id, coming.occurrence, day))
        if len(sent) > 100:
            raise AssertionError("It never ends")
    return sent[len(before) :]


def get_last(sent):
    """Return what the plan is told of past reminders."""
    if not sent:
        return None
    said = tuple((one.step_id, one.occurrence) for one in sent)
    return Last(sent[-1].sent_on, sent[-1].step_id, said)


def _runs_on(number, runs):
    return number >= len(runs) or runs[number]


@tagged("post_install", "-at_install")
class TestPlan(BaseCase):
    """Dates of reminders: pure rules, tried at random, without a database."""

    def test_examples_in_the_documentation(self):
        failed, tried = doctest.testmod(plan)
        self.assertFalse(failed)
        self.assertGreater(tried, 10)

    # ------------------------------------------------------------------------
    # PROPERTIES: whatever the sequence, the entry and the days without a run
    # ------------------------------------------------------------------------

    @repeatable
    @given(rhythms(), entry_days, catch_ups, outages)
    def test_never_two_reminders_on_one_day(self, steps, since, catch_up, runs):
        entry = plan.enter(steps, DUE, since, catch_up)
        sent = live(steps, entry, runs) if entry else []
        for before, after in pairwise(sent):
            self.assertLess(before.sent_on, after.sent_on)

    @repeatable
    @given(rhythms(), entry_days, catch_ups, outages)
    def test_steps_go_in_order_and_none_is_lost(self, steps, since, catch_up, runs):
        entry = plan.enter(steps, DUE, since, catch_up)
        sent = live(steps, entry, runs) if entry else []
        ids = [step.id for step in steps]
        wanted = []
        if entry:
            wanted = [(step_id, 0) for step_id in ids[ids.index(entry.step_id) :]]
            if steps[-1].repeat_every:
                wanted += [
                    (ids[-1], occurrence)
                    for occurrence in range(1, steps[-1].repeat_max + 1)
                ]
        self.assertEqual([(one.step_id, one.occurrence) for one in sent], wanted)

    @repeatable
    @given(rhythms(), entry_days, catch_ups, outages)
    def test_no_step_comes_before_its_rule(self, steps, since, catch_up, runs):
        entry = plan.enter(steps, DUE, since, catch_up)
        rules = {step.id: step for step in steps}
        before = None
        for sent in live(steps, entry, runs) if entry else []:
            rule = rules[sent.step_id]
            if sent.occurrence:
                earliest = before.sent_on + timedelta(days=rule.repeat_every)
            elif rule.trigger == DUE_DATE:
                earliest = at(rule.delay)
            elif before:
                earliest = before.sent_on + timedelta(days=rule.delay)
            else:  # a step counting from the previous one, by which it entered
                earliest = at(plan.offsets(steps)[steps.index(rule)])
            self.assertGreaterEqual(sent.sent_on, earliest)
            self.assertGreaterEqual(sent.sent_on, since)
            before = sent

    @repeatable
    @given(rhythms(), entry_days, st.sampled_from((CROSSING, FIRST)), outages)
    def test_the_spacing_of_the_sequence_is_kept(self, steps, since, catch_up, runs):
        entry = plan.enter(steps, DUE, since, catch_up)
        nominal = dict(
            zip((step.id for step in steps), plan.offsets(steps), strict=True)
        )
        for before, after in pairwise(live(steps, entry, runs) if entry else []):
            if not after.occurrence:
                spacing = nominal[after.step_id] - nominal[before.step_id]
                self.assertGreaterEqual(
                    (after.sent_on - before.sent_on).days, max(1, spacing)
                )

    @repeatable
    @given(rhythms(), entry_days, outages)
    def test_latest_starts_once_and_then_keeps_the_spacing(self, steps, since, runs):
        """Only the step after the entry may come sooner: on its own date."""
        entry = plan.enter(steps, DUE, since, LATEST)
        nominal = dict(
            zip((step.id for step in steps), plan.offsets(steps), strict=True)
        )
        sent = live(steps, entry, runs)
        for number, (before, after) in enumerate(pairwise(sent)):
            spacing = max(1, nominal[after.step_id] - nominal[before.step_id])
            kept = (after.sent_on - before.sent_on).days >= spacing
            on_its_date = after.sent_on >= at(nominal[after.step_id])
            if not after.occurrence:
                self.assertTrue(kept or (number == 0 and on_its_date))

    @repeatable
    @given(rhythms(), entry_days, catch_ups)
    def test_without_outage_steps_come_on_their_dates(self, steps, since, catch_up):
        """From the first step on that is not late at entry."""
        entry = plan.enter(steps, DUE, since, CROSSING)
        if not entry or plan.enter(steps, DUE, since, catch_up) != entry:
            return
        dated = [step for step in steps if step.trigger == DUE_DATE]
        if len(dated) < len(steps) or steps[0].id != entry.step_id:
            return
        late = at(steps[0].delay) < since
        for sent in live(steps, entry, [])[int(late) : len(steps)]:
            rule = steps[sent.step_id - 1]
            self.assertEqual(sent.sent_on, at(rule.delay) + late * timedelta(days=1))

    @repeatable
    @given(rhythms(), entry_days, catch_ups, outages, outages)
    def test_an_outage_delays_and_never_hastens(
        self, steps, since, catch_up, runs, more_runs
    ):
        entry = plan.enter(steps, DUE, since, catch_up)
        if not entry:
            return
        worse = [a and b for a, b in zip(runs, more_runs, strict=False)] + runs[
            len(more_runs) :
        ]
        pairs = zip(live(steps, entry, runs), live(steps, entry, worse), strict=True)
        for usual, later in pairs:
            self.assertGreaterEqual(later.sent_on, usual.sent_on)

    @repeatable
    @given(rhythms(), entry_days)
    def test_only_dates_from_yesterday_on_are_crossed(self, steps, since):
        entry = plan.enter(steps, DUE, since, CROSSING)
        dates = {
            step.id: at(days)
            for step, days in zip(steps, plan.offsets(steps), strict=True)
        }
        yesterday = since - timedelta(days=1)
        if entry:
            self.assertGreaterEqual(dates[entry.step_id], yesterday)
            missed = [step.id for step in steps if step.id < entry.step_id]
        else:
            missed = [step.id for step in steps]
        for step_id in missed:
            self.assertLess(dates[step_id], yesterday)

    @repeatable
    @given(
        rhythms(repeating=False),
        rhythms(first_id=101),
        entry_days,
        outages,
        st.integers(0, 12),
        st.integers(0, 60),
    )
    def test_a_move_says_nothing_twice(self, old, new, since, runs, told, pause):
        """After a move no step dated on or before the last reminder is sent."""
        entry = plan.enter(old, DUE, since, FIRST)
        before = live(old, entry, runs)[: told + 1]
        last_day = before[-1].sent_on
        moved = Entry(None, last_day + timedelta(days=pause), CROSSING)
        after = live(new, moved, [], before)
        nominal = dict(zip((s.id for s in new), plan.offsets(new), strict=True))
        wanted = [
            step.id
            for step in new
            if at(nominal[step.id]) > last_day and at(nominal[step.id]) >= moved.on
        ]
        self.assertEqual([s.step_id for s in after[:1]], wanted[:1])
        for first in after[:1]:
            self.assertEqual(first.sent_on, at(nominal[first.step_id]))
        for one, other in pairwise([*before, *after]):
            self.assertLess(one.sent_on, other.sent_on)

    @repeatable
    @given(
        rhythms(),
        st.lists(st.tuples(st.integers(1, 12), st.integers(0, 3)), min_size=1),
        st.none() | st.integers(1, 12),
        entry_days,
        st.none() | st.integers(1, 12),
        st.integers(0, 90),
    )
    def test_what_was_said_is_never_said_again(
        self, steps, said, newest, entered, entry_step, days
    ):
        """Whatever was moved, deleted, reordered or retried before."""
        last = Last(entered + timedelta(days=days), newest, tuple(said))
        for catch_up in (CROSSING, LATEST, FIRST):
            coming = plan.following(
                steps, DUE, Entry(entry_step, entered, catch_up), last
            )
            if coming:
                self.assertNotIn((coming.step_id, coming.occurrence), said)
                self.assertGreater(coming.date, last.sent_on)

    @repeatable
    @given(rhythms(), entry_days, catch_ups, st.data())
    def test_the_order_of_the_events_of_a_day_changes_nothing(
        self, steps, since, catch_up, data
    ):
        """Only days count, and what was said: not which row was written first."""
        entry = plan.enter(steps, DUE, since, catch_up)
        ids = [step.id for step in steps]
        said = data.draw(
            st.lists(
                st.tuples(st.sampled_from([*ids, 99]), st.integers(0, 3)),
                min_size=1,
                unique=True,
            )
        )
        newest = data.draw(st.sampled_from(said))[0]
        sent_on = since + timedelta(days=data.draw(st.integers(0, 90)))
        coming = {
            plan.following(steps, DUE, entry, Last(sent_on, newest, tuple(order)))
            for order in (said, said[::-1], data.draw(st.permutations(said)))
        }
        self.assertEqual(len(coming), 1)

    @repeatable
    @given(rhythms(), entry_days, catch_ups, st.lists(st.integers(0, 30), max_size=9))
    def test_sent_early_by_hand_the_rest_stays_in_order(
        self, steps, since, catch_up, haste
    ):
        """A person may send what comes at once; nothing is said twice or skipped."""
        entry = plan.enter(steps, DUE, since, catch_up)
        sent, day = [], since
        for days in haste:
            coming = plan.following(steps, DUE, entry, get_last(sent))
            if not coming:
                break
            day = max(day + timedelta(days=1), coming.date - timedelta(days=days))
            sent.append(Sent(coming.step_id, coming.occurrence, day))
        keys = [(one.step_id, one.occurrence) for one in sent]
        self.assertEqual(keys, sorted(keys))
        if entry:
            first = [step.id for step in steps].index(entry.step_id)
            told = [one.step_id for one in sent if not one.occurrence]
            self.assertEqual(
                told, [step.id for step in steps[first : first + len(told)]]
            )

    # ------------------------------------------------------------------------
    # EXAMPLES: what a reader looks for
    # ------------------------------------------------------------------------

    def follow(self, steps, entry, *args):
        following = plan.following(steps, DUE, entry, *args)
        return following and ((following.date - DUE).days, following.step_id)

    def test_day_one_is_the_day_after_the_due_date(self):
        steps = (Step(1, DUE_DATE, 1),)
        entry = plan.enter(steps, DUE, at(-30), CROSSING)
        self.assertEqual(self.follow(steps, entry), (1, 1))

    def test_one_day_of_grace_at_entry(self):
        steps = (Step(1, DUE_DATE, 7),)
        self.assertTrue(plan.enter(steps, DUE, at(7), CROSSING))
        self.assertTrue(plan.enter(steps, DUE, at(8), CROSSING))
        self.assertIsNone(plan.enter(steps, DUE, at(9), CROSSING))

    def test_latest_before_any_step_waits_for_the_first(self):
        steps = (Step(1, DUE_DATE, 7), Step(2, DUE_DATE, 15))
        entry = plan.enter(steps, DUE, at(3), LATEST)
        self.assertEqual(self.follow(steps, entry), (7, 1))

    def test_latest_keeps_the_date_of_the_next_step(self):
        """Day 14: the step of day 7 at once, and the one of day 15 on day 15."""
        steps = (Step(1, DUE_DATE, 7), Step(2, DUE_DATE, 15))
        entry = plan.enter(steps, DUE, at(14), LATEST)
        self.assertEqual(self.follow(steps, entry), (14, 1))
        self.assertEqual(self.follow(steps, entry, Last(at(14), 1, ((1, 0),))), (15, 2))

    def test_first_keeps_the_spacing(self):
        steps = (Step(1, DUE_DATE, 7), Step(2, DUE_DATE, 15))
        entry = plan.enter(steps, DUE, at(60), FIRST)
        self.assertEqual(self.follow(steps, entry), (60, 1))
        self.assertEqual(self.follow(steps, entry, Last(at(60), 1, ((1, 0),))), (68, 2))

    def test_repeated_until_paid_never_ends(self):
        steps = (Step(1, DUE_DATE, 7, 10, 0),)
        entry = plan.enter(steps, DUE, at(-30), CROSSING)
        last = Last(at(1000), 1, tuple((1, number) for number in range(100)))
        self.assertEqual(self.follow(steps, entry, last), (1010, 1))

    def test_repetitions_count_after_the_first_sending(self):
        steps = (Step(1, DUE_DATE, 7, 10, 2),)
        entry = plan.enter(steps, DUE, at(-30), CROSSING)
        said = ((1, 0), (1, 1))
        self.assertEqual(self.follow(steps, entry, Last(at(17), 1, said)), (27, 1))
        said += ((1, 2),)
        self.assertIsNone(self.follow(steps, entry, Last(at(27), 1, said)))

    def test_a_deleted_entry_step_lets_it_enter_anew(self):
        steps = (Step(2, DUE_DATE, 7), Step(3, DUE_DATE, 15))
        entry = Entry(1, at(0), CROSSING)
        self.assertEqual(self.follow(steps, entry), (7, 2))

    def test_without_steps_nothing_comes(self):
        self.assertIsNone(plan.enter((), DUE, at(0), LATEST))
        self.assertIsNone(self.follow((), Entry(1, at(0))))
        self.assertIsNone(self.follow((), None))
