"""Late payment: the interest on what was paid late, or is not paid yet.

Pure Python: no ORM and no clock, so that each rule can be read, doctested and tried
without a database. Simple interest: balance x yearly rate x days / 365, also in a leap
year (directive 2011/7/EU, art. 2(5) and 3; C. com., art. L441-10 II).

Words used here:

* the *balance* of a day is the instalment less what was paid on the days before it:
  the day of a payment still bears interest on what it pays;
* interest runs from the day after the due date up to and including the last day asked;
* a *period* is a run of days on which balance and rate stay the same. A rate holds for
  the days from its own one on, until that of the next rate: that of 1 January for the
  first half-year, that of 1 July for the second one (directive, art. 3(3)).

EUR 1000 due on 31 May 2025, of which 400 came on 20 June; 13.15 % until 30 June,
12.15 % from 1 July on; asked for on 10 July:

>>> from datetime import date
>>> rates = (Rate(date(2025, 1, 1), 13.15), Rate(date(2025, 7, 1), 12.15))
>>> found = get_periods(
...     1000, date(2025, 5, 31), [(date(2025, 6, 20), 400)], rates, date(2025, 7, 10)
... )
>>> for period in found:
...     print(period.first, period.days, period.balance, period.percent)
2025-06-01 20 1000 13.15
2025-06-21 10 600 13.15
2025-07-01 10 600 12.15
>>> round(get_interest(found), 4)  # 7.2055 + 2.1616 + 1.9973
11.3644
"""

from dataclasses import dataclass
from datetime import date, timedelta

DAYS_A_YEAR = 365

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Rate:
    """A yearly rate in percent, and the first day on which it holds."""

    since: date
    percent: float


@dataclass(frozen=True, slots=True)
class Period:
    """Days, both ends included, on which balance and rate stay the same.

    ``percent`` 0: no rate is known for them.
    """

    first: date
    last: date
    balance: float
    percent: float

    @property
    def days(self):
        return (self.last - self.first).days + 1

    @property
    def interest(self):
        """Not rounded: what is rounded is the sum of an invoice."""
        return self.balance * self.percent * self.days / (100 * DAYS_A_YEAR)


def get_balance(amount, payments, day):
    """Return what bears interest on a day: payments of the day itself come after it.

    :param payments: (day, amount)…, credit notes among them
    """
    return round(amount - sum(paid for on, paid in payments if on < day), 6)


def is_late(amount, due_date, payments, until):
    """Was something still open when the due date was over?

    >>> due = date(2026, 3, 1)
    >>> is_late(100, due, [(due, 100)], date(2026, 4, 1))
    False
    >>> is_late(100, due, [(due, 99)], date(2026, 3, 2))
    True
    >>> is_late(100, due, [], due)
    False
    """
    return until > due_date and get_balance(amount, payments, due_date + _DAY) > 0


def get_periods(amount, due_date, payments, rates, until):
    """Return the periods for which an instalment bears interest, oldest first.

    :param payments: (day, amount)…, in any order; what came before the due date, or
        on it, bears none
    :param rates: in any order
    :param until: the last day that counts
    """
    if until <= due_date:
        return []
    days = {due_date + _DAY}
    days |= {on + _DAY for on, _paid in payments if due_date < on < until}
    days |= {rate.since for rate in rates if due_date < rate.since <= until}
    days = sorted(days)
    periods = []
    for first, after in zip(days, [*days[1:], until + _DAY], strict=True):
        balance = get_balance(amount, payments, first)
        if balance > 0:
            percent = get_percent(rates, first)
            periods.append(Period(first, after - _DAY, balance, percent))
    return periods


def get_percent(rates, day):
    """Return the rate of a day: the newest one that holds by then, 0 if there is none.

    >>> rates = (Rate(date(2025, 7, 1), 12.15), Rate(date(2025, 1, 1), 13.15))
    >>> get_percent(rates, date(2025, 6, 30)), get_percent(rates, date(2025, 7, 1))
    (13.15, 12.15)
    >>> get_percent(rates, date(2024, 12, 31))
    0.0
    """
    known = [rate for rate in rates if rate.since <= day]
    return max(known, key=lambda rate: rate.since).percent if known else 0.0


def get_interest(periods):
    """Return the interest of some periods, not rounded."""
    return sum(period.interest for period in periods)


def get_half_year(day):
    """Return the first day of the half-year of a day.

    >>> get_half_year(date(2026, 6, 30)), get_half_year(date(2026, 7, 1))
    (datetime.date(2026, 1, 1), datetime.date(2026, 7, 1))
    """
    return date(day.year, 7 if day.month > 6 else 1, 1)


def get_next_half_year(day):
    """Return the first day of the half-year after the one of a day.

    >>> get_next_half_year(date(2025, 7, 1)), get_next_half_year(date(2026, 1, 1))
    (datetime.date(2026, 1, 1), datetime.date(2026, 7, 1))
    """
    return date(day.year, 7, 1) if day.month < 7 else date(day.year + 1, 1, 1)
