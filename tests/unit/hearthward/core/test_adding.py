from __future__ import annotations

from hearthward.core.adding import added


def test_each_step_is_rounded():
    assert added([1e16, 1.0, 1.0, -1e16]) == 0.0, "a compensated sum is 2"
    assert added([]) == 0.0
    assert added(n / 2 for n in range(4)) == 3.0
