"""Plan: turn the steps of a sequence into the date of the next reminder.

Pure Python: no ORM and no clock, so that each rule can be read, doctested and
tried at random without a database. All delays are calendar days.

Words used here:

* the *nominal date* of a step is where its rule puts it on the calendar of one
  instalment: due date plus delay, or, for a step that counts from the previous
  reminder, the nominal date of the step before plus its delay;
* the *spacing* of a step is the number of days between its nominal date and the
  one of the step before, and never less than one day;
* an instalment *enters* a sequence at one step, its first; from there the steps
  go in order, one at a time;
* a *day off* is one on which nothing leaves: a step before the due date moves back
  to the last working day, any other forward to the next one. That changes neither
  the nominal dates nor the spacing of the steps that follow.

>>> from datetime import date
>>> steps = (Step(1, DUE_DATE, -3), Step(2, DUE_DATE, 7), Step(3, PREVIOUS, 10))
>>> offsets(steps)
(-3, 7, 17)
>>> due = date(2026, 3, 1)
>>> entry = enter(steps, due, since=date(2026, 2, 1), catch_up=CROSSING)
>>> entry.step_id
1
>>> following(steps, due, entry)
Next(step_id=1, date=datetime.date(2026, 2, 26), occurrence=0)
>>> following(steps, due, entry, Last(date(2026, 2, 26), 1, ((1, 0),)))
Next(step_id=2, date=datetime.date(2026, 3, 8), occurrence=0)

After an outage of two weeks the steps still come one by one, as far from each
other as the sequence wants it:

>>> following(steps, due, entry, Last(date(2026, 3, 22), 2, ((1, 0), (2, 0))))
Next(step_id=3, date=datetime.date(2026, 4, 1), occurrence=0)
>>> following(steps, due, entry, Last(date(2026, 4, 1), 3, ((2, 0), (3, 0)))) is None
True

The 8th of March 2026 is a Sunday; the step after it keeps its own date:

>>> off = frozenset((date(2026, 3, 7), date(2026, 3, 8)))
>>> following(steps, due, entry, Last(date(2026, 2, 26), 1, ((1, 0),)), off).date
datetime.date(2026, 3, 9)
"""

from dataclasses import dataclass, replace
from datetime import date, timedelta

DUE_DATE = "due_date"
PREVIOUS = "previous"

CROSSING = "crossing"
LATEST = "latest"
FIRST = "first"

#: P11: an instalment still enters by a step whose date was yesterday.
GRACE_DAYS = 1

#: Longer than any holidays: a calendar without a working day is not followed.
LONGEST_BREAK = 60

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Step:
    """The rule of one step. ``repeat_max`` 0 means: until paid."""

    id: int
    trigger: str
    delay: int
    repeat_every: int = 0
    repeat_max: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """Where and when an instalment entered its sequence.

    ``step_id`` None: in the middle, after a reminder of another sequence.
    """

    step_id: int | None
    on: date
    catch_up: str = CROSSING


@dataclass(frozen=True, slots=True)
class Last:
    """What was said: the day of the newest reminder that counts, and all steps.

    ``step_id`` is the newest one's: of another sequence, or None, after a move or
    when its step was deleted. ``said`` holds each (step id, occurrence) that
    counts: what is in it is never said again, whatever was moved or reordered.
    """

    sent_on: date
    step_id: int | None
    said: tuple = ()


@dataclass(frozen=True, slots=True)
class Next:
    """The coming reminder; ``occurrence`` counts the repetitions of its step."""

    step_id: int
    date: date
    occurrence: int


def offsets(steps):
    """Return the nominal date of each step, in days from the due date.

    >>> offsets((Step(1, DUE_DATE, 5), Step(2, PREVIOUS, 5), Step(3, DUE_DATE, 30)))
    (5, 10, 30)
    """
    days = []
    for step in steps:
        base = days[-1] if step.trigger == PREVIOUS and days else 0
        days.append(base + step.delay)
    return tuple(days)


def add_days(day, days):
    """Return the date so many days later; beyond the last or first date, that one.

    Some write 31/12/9999 for "never".

    >>> add_days(date(9999, 12, 31), 7)
    datetime.date(9999, 12, 31)
    """
    number = max(day.toordinal() + days, date.min.toordinal())
    return date.fromordinal(min(number, date.max.toordinal()))


def enter(steps, due_date, since, catch_up):
    """Return the entry of an instalment into a sequence, None if it stays out.

    :param since: the later of start, joining and posting. Never the day of a
        run: an outage loses nothing.
    :param catch_up: ``crossing`` enters by passing the date of a step from
        ``since`` on, with one day of grace; ``latest`` at the last step reached
        by then (the first one when none is); ``first`` at the first step.

    >>> steps = (Step(1, DUE_DATE, 7), Step(2, DUE_DATE, 15))
    >>> due = date(2026, 3, 1)
    >>> [enter(steps, due, date(2026, 3, day), CROSSING) for day in (9, 10, 18)]
    ... # doctest: +NORMALIZE_WHITESPACE
    [Entry(step_id=1, on=datetime.date(2026, 3, 9), catch_up='crossing'),
     Entry(step_id=2, on=datetime.date(2026, 3, 10), catch_up='crossing'),
     None]
    >>> enter(steps, due, date(2026, 3, 18), LATEST).step_id
    2
    >>> enter(steps, due, date(2026, 3, 18), FIRST).step_id
    1
    """
    nominal = [add_days(due_date, days) for days in offsets(steps)]
    if not steps:
        return None
    if catch_up == FIRST:
        index = 0
    elif catch_up == LATEST:
        reached = [i for i, day in enumerate(nominal) if day <= since]
        index = max(reached, default=0)
    else:
        earliest = since - timedelta(days=GRACE_DAYS)
        index = next((i for i, day in enumerate(nominal) if day >= earliest), None)
        if index is None:
            return None
    return Entry(steps[index].id, since, catch_up)


def following(steps, due_date, entry, last=None, off=frozenset()):
    """Return the reminder that follows, or None when the last step is sent.

    :param entry: see :func:`enter`; None for an instalment that stays out
    :param last: the last reminder that counts, None before the first one
    :param off: the dates on which nothing leaves
    """
    if entry is None:
        return None
    index = {step.id: i for i, step in enumerate(steps)}
    nominal = [add_days(due_date, days) for days in offsets(steps)]
    if last is None:
        i = index.get(entry.step_id)
        if i is None:  # that step was deleted since: enter anew
            again = enter(steps, due_date, entry.on, entry.catch_up)
            return following(steps, due_date, again, None, off)
        coming = Next(steps[i].id, _not_before_entry(nominal[i], entry), 0)
        return _move_off(coming, due_date, entry.on, off)
    said = {}
    for step_id, occurrence in last.said:
        if step_id in index:
            said[step_id] = max(occurrence, said.get(step_id, 0))
    reached = max((index[step_id] for step_id in said), default=-1)
    earliest = last.sent_on + _DAY
    if reached < 0 or last.step_id not in index:
        coming = _after_move(steps, nominal, reached + 1, entry, last)
        return _move_off(coming, due_date, max(earliest, entry.on), off)
    if reached + 1 < len(steps):
        day = _after(steps, nominal, reached + 1, entry, last, off)
        if day != nominal[reached + 1]:  # late: the spacing is kept
            earliest = day
        coming = Next(steps[reached + 1].id, day, 0)
        return _move_off(coming, due_date, earliest, off)
    coming = _repeat(steps[reached], said[steps[reached].id], last)
    return _move_off(coming, due_date, coming.date if coming else None, off)


def not_on(coming, today, off):
    """Return the reminder with a date on which it can leave, seen from today.

    What is due on a day off leaves on the next working day.

    >>> sunday = date(2026, 3, 8)
    >>> not_on(Next(1, date(2026, 3, 6), 0), sunday, frozenset([sunday])).date
    datetime.date(2026, 3, 9)
    """
    if coming is None or coming.date > today or today not in off:
        return coming
    return replace(coming, date=next_working_day(today, off))


def next_working_day(day, off):
    """Return the day itself, or the first one after it that is not off."""
    return _walk(day, _DAY, off)


def previous_working_day(day, off):
    """Return the day itself, or the last one before it that is not off."""
    return _walk(day, -_DAY, off)


def _walk(day, step, off):
    for days in range(LONGEST_BREAK):
        if day + days * step not in off:
            return day + days * step
    return day


def _move_off(coming, due_date, earliest, off):
    """Move a reminder to a working day: back before the due date, else forward.

    :param earliest: a step before the due date is not moved back beyond it
    """
    if coming is None or coming.date not in off:
        return coming
    back = previous_working_day(coming.date, off)
    if coming.date < due_date and back >= earliest:
        return replace(coming, date=back)
    return replace(coming, date=next_working_day(coming.date, off))


def _not_before_entry(day, entry):
    """A step passed at entry has the day of entry, not a day in the past.

    Within the grace of `crossing` the nominal date is kept, for the reader.
    """
    return day if entry.catch_up == CROSSING else max(day, entry.on)


def _after(steps, nominal, i, entry, last, off):
    """Date of step ``i`` when the one before was sent on ``last.sent_on``."""
    if steps[i].trigger == PREVIOUS:
        return last.sent_on + timedelta(days=steps[i].delay)
    if _is_caught_up(nominal[i - 1], entry, last, off) and nominal[i] > last.sent_on:
        return nominal[i]
    if last.sent_on <= next_working_day(nominal[i - 1], off):
        return max(nominal[i], last.sent_on + _DAY)  # in time
    spacing = max(1, (nominal[i] - nominal[i - 1]).days)
    return max(nominal[i], last.sent_on + timedelta(days=spacing))


def _is_caught_up(nominal, entry, last, off):
    """Was the last reminder the one of an entry by `latest`, sent at once?

    It was late on purpose: the steps after it keep their own dates. One day of
    grace, as everywhere: the run of that day may have been over.
    """
    at_once = next_working_day(entry.on, off) + timedelta(days=GRACE_DAYS)
    return (
        entry.catch_up == LATEST
        and last.said == ((entry.step_id, 0),)
        and nominal < entry.on
        and last.sent_on <= at_once
    )


def _after_move(steps, nominal, start, entry, last):
    """First step of another sequence after a move: nothing is said twice.

    Its date is after the last reminder and not before the move.
    """
    for step, day in zip(steps[start:], nominal[start:], strict=True):
        if day > last.sent_on and day >= entry.on:
            return Next(step.id, day, 0)
    return None


def _repeat(step, occurrence, last):
    """Repetition of the last step, counted from its last sending."""
    if not step.repeat_every:
        return None
    if step.repeat_max and occurrence >= step.repeat_max:
        return None
    day = last.sent_on + timedelta(days=step.repeat_every)
    return Next(step.id, day, occurrence + 1)
