# SPDX-License-Identifier: Apache-2.0
"""Three years of one domain: no second without a valid certificate, and no order more than the plans need (lib/years.py)."""

import json
import os
import random
import urllib.request

import pytest
from lib import years
from lib.years import Years, order_days, plan_days

pytestmark = [
    pytest.mark.skipif(years.LIBRARY is None, reason="libfaketime is not installed"),
    pytest.mark.skipif("san" in os.environ.get("DVCERT_BUILD", ""), reason="libfaketime and ASan exclude each other"),
]

# What the CA gives and what the YAML says, by the day from which on; years of a plan; orders in three years
CASES = {
    "199": ([(0, 199, 199)], 1, 4),
    "99": ([(0, 99, 99)], 1, 4),
    "46": ([(0, 46, 46)], 1, 4),
    "two-years": ([(0, 199, 199)], 2, 2),
    # The industry's cap shrinks, and somebody thinks of the YAML much later.
    "shrinks": ([(0, 199, 199), (500, 99, 199), (800, 99, 99)], 1, 4),
}


def expected(life):
    """(fewest orders, earliest and latest day of each) over many draws of the jitter."""
    rng = random.Random(1)
    draws = [lambda: 0.0, lambda: 1.0] + [rng.random] * 2000
    found = [order_days(plan_days(life.ca_cap, life.our_cap, life.plan, life.days, j)) for j in draws]
    fewest = min(map(len, found))
    found = [f for f in found if len(f) == fewest]
    return fewest, [(min(days), max(days)) for days in zip(*found)]


def renewed(box, order_id):
    """The order that this one renews, as the account tells."""
    url = f"{box.certcentral_url}/order/certificate/{order_id}"
    rq = urllib.request.Request(url, headers={"X-DC-DEVKEY": box.api_key})
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=box.tls)
    )
    with opener.open(rq, timeout=20) as answer:
        return json.load(answer).get("renewal_of_order_id")


@pytest.mark.parametrize("case", CASES)
def test_three_years(world, case):
    caps, order_years, n_orders = CASES[case]
    life = Years(world, caps, order_years).run()
    print(f"\n{life.report()}")
    fewest, spans = expected(life)

    assert life.uncovered_s() == 0, life.report()
    assert [o["status"] for o in life.orders()] == ["issued"] * n_orders and fewest == n_orders, life.report()
    days = life.order_days()
    assert len(days) == n_orders
    assert all(lo - 1 <= at <= hi + 1 for at, (lo, hi) in zip(days, spans)), (days, spans)
    # A reissue is worth its requests, and no certificate comes for anything else.
    assert all(gain >= window / 2 for _, gain, window in life.gains()), life.gains()
    assert [c["generation"] for c in life.issued] == list(range(1, len(life.issued) + 1))
    counts = life.requests()
    assert (counts["order"], counts.get("reissue", 0)) == (n_orders, len(life.gains())), counts
    assert sum(o["reissues"] for o in life.orders()) == len(life.gains())
    assert life.bad_requests() == []
    # Nothing that is kept for ever grows by months.
    kib, fds = life.growth()
    assert kib < 2048 and fds <= 1, (kib, fds, life.weights[::20])
    # Nearly every step had its looks at what others do: one may come a step later.
    assert min(life.log.looks().values()) > 0.8 * life.far_steps, (life.log.looks(), life.far_steps)
    # Each order says which one it renews.
    assert [o["kind"] for o in life.orders()] == ["new"] + ["renewal"] * (n_orders - 1)
    ids = [o["order_id"] for o in life.orders()]
    assert [renewed(world.sandbox, i) for i in ids] == [None, *ids[:-1]]
