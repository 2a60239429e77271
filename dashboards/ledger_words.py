"""The loss ledger in a sentence, in both languages."""

from __future__ import annotations

from cloud_ingest.balance import LedgerReport

__all__ = ["summary"]


def summary(found: LedgerReport) -> dict[str, str]:
    """What became of the readings of the period, by language (``en``, ``zh``)."""
    hours = found.asked.end - found.asked.start
    days = hours % 24 == 0 and hours > 24  # noqa: PLR2004 - hours of a day
    en = f"in the last {hours // 24} days" if days else f"in the last {hours} hours"
    zh = f"最近 {hours // 24} 天" if days else f"最近 {hours} 小时"
    if found.total.told:
        texts = {"en": _english(found, en), "zh": _chinese(found, zh)}
    elif not found.total.arrived:
        texts = {"en": f"No reading came {en}.", "zh": f"{zh}没有收到读数。"}
    else:
        texts = {
            "en": f"{found.total.arrived:,} readings came {en}. Their gateways keep no books: nobody can say "
            "whether any are missing.",
            "zh": f"{zh}收到 {found.total.arrived:,} 个读数。网关未提供账目，无法判断是否有缺失。",  # noqa: RUF001 - Chinese
        }
    if found.earlier:
        texts["en"] += f" Of earlier readings {found.earlier:,} are unaccounted for."
        texts["zh"] += f"更早的读数中有 {found.earlier:,} 个去向不明。"
    return texts


def _parts(found: LedgerReport) -> tuple[int, int, dict[str, int], int]:
    """(read, stored, what else became of them, lost) of the gateways that tell of their books.

    What has come before its gateway told of it was read, too.
    """
    total, other = found.total, found.unbooked
    dropped = sum(total.dropped.values())
    rest = {
        "duplicate": total.duplicate - other.duplicate,
        "rejected": sum(total.rejected.values()) - sum(other.rejected.values()),
        "waiting": total.waiting,
    }
    lost = total.missing + dropped + total.written_off
    return max(total.read, total.accepted) + total.untold, total.stored - other.stored, rest, lost


def _english(found: LedgerReport, when: str) -> str:
    read, stored, rest, lost = _parts(found)
    words = {
        "duplicate": "{n:,} stored before",
        "rejected": "{n:,} rejected",
        "waiting": "{n:,} waiting at gateways",
    }
    also = "".join(f", {words[name].format(n=n)}" for name, n in rest.items() if n)
    text = f"Of {read:,} readings read {when}, {stored:,} are stored{also}; {lost:,} lost."
    if found.unbooked.arrived:
        text += f" {found.unbooked.arrived:,} more came from gateways that keep no books."
    return text


def _chinese(found: LedgerReport, when: str) -> str:
    read, stored, rest, lost = _parts(found)
    words = {
        "duplicate": "此前已存储 {n:,} 个",
        "rejected": "拒收 {n:,} 个",
        "waiting": "在网关等待 {n:,} 个",
    }
    also = "".join(f"，{words[name].format(n=n)}" for name, n in rest.items() if n)  # noqa: RUF001 - Chinese
    text = f"{when}读取 {read:,} 个读数：已存储 {stored:,} 个{also}；丢失 {lost:,} 个。"  # noqa: RUF001 - Chinese
    if found.unbooked.arrived:
        text += f"另有 {found.unbooked.arrived:,} 个来自未提供账目的网关。"
    return text
