"""The feed of changes beyond reading it: what is old is forgotten, and a feed that moved goes on where it was."""

from django.conf import settings
from django.db import connection, transaction

from stores.models import FanOut, Feed, Webhook

BATCH = 5000  # changes deleted by one transaction
# Each server on which the feed has lived numbers its changes in a stretch of its own, far longer than a server has
# transactions. A place that was handed out after a dump was made, and of which the dump knows nothing, is then still
# before all that comes.
STRETCH = 2**40

# Only from the beginning and without a gap, so that one place says what is gone. What is not settled is never passed:
# something could still come before it.
OLDEST = """
SELECT moment, id FROM (
    SELECT moment, id, bool_and(created_at < statement_timestamp() - make_interval(days => %(days)s))
        OVER (ORDER BY moment, id ROWS UNBOUNDED PRECEDING) AS old
    FROM (
        SELECT moment, id, created_at FROM stores_change
        WHERE (moment, id) > (%(moment)s, %(change)s) AND moment < stores_horizon()
            AND (%(told)s::bigint IS NULL OR (moment, id) <= (%(told)s, %(told_change)s))
        ORDER BY moment, id LIMIT %(batch)s
    ) AS oldest
) AS dated WHERE old ORDER BY moment DESC, id DESC LIMIT 1
"""


@transaction.atomic
def forget_changes(days: int | None = None) -> int:
    """Deletes at most BATCH changes older than `days` (default CHANGES_DAYS); gives how many.

    Changes that webhooks are still to be made from stay. What is deleted and the place up to which it was deleted change
    together: whoever stands before that place is told that he missed something.
    """
    feed = Feed.objects.select_for_update().get_or_create(pk=1)[0]
    told = FanOut.objects.filter(pk=1).first() or FanOut()
    waits = Webhook.objects.filter(ended=Webhook.Ended.NO).exists()
    place = {"moment": feed.moment, "change": feed.change}
    with connection.cursor() as cursor:
        cursor.execute(
            OLDEST,
            place
            | {
                "days": settings.CHANGES_DAYS if days is None else days,
                "batch": BATCH,
                "told": told.moment if waits else None,
                "told_change": told.change,
            },
        )
        end = cursor.fetchone()
        if end is None:
            return 0
        cursor.execute(
            "DELETE FROM stores_change WHERE (moment, id) > (%s, %s) AND (moment, id) <= (%s, %s)",
            [*place.values(), *end],
        )
        count = cursor.rowcount
    feed.moment, feed.change = end
    feed.save(update_fields=["moment", "change"])
    return count


def moved() -> bool:
    """Whether the feed grew up on another server than this one, so that `settle_in` has work to do. One query."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce((SELECT '' NOT IN (home, stores_home()) AND home <> stores_home() FROM stores_feed WHERE id = 1), false)"
            " OR coalesce((SELECT moment FROM stores_change ORDER BY moment DESC, id DESC LIMIT 1) >= stores_reach(), false)"
        )
        return cursor.fetchone()[0]


@transaction.atomic
def settle_in() -> bool:
    """Lets the feed go on here in its order after a dump was restored; whether it had come from another server.

    Every place that was ever handed out stays good, and all that comes is behind it. What was written here before this
    was called is put behind too, as far as it can be told from what came with the dump.
    """
    feed = Feed.objects.select_for_update().get_or_create(pk=1)[0]
    came = moved()
    with connection.cursor() as cursor:
        if came:
            # Nobody reads or writes a change meanwhile: a number of before and one of after never meet in one snapshot.
            cursor.execute("LOCK TABLE stores_change IN ACCESS EXCLUSIVE MODE")
            cursor.execute(
                "SELECT last_value, stores_reach(), (SELECT moment FROM stores_change ORDER BY moment DESC, id DESC LIMIT 1),"
                " (SELECT max(id) FROM stores_change WHERE moment >= stores_reach()) FROM stores_change_offset"
            )
            offset, reach, newest, last = cursor.fetchone()
            beyond = max(offset, newest or 0, feed.moment) // STRETCH + 1
            cursor.execute("SELECT setval('stores_change_offset', %s)", [beyond * STRETCH])
            cursor.execute(
                "UPDATE stores_change SET moment = stores_moment() WHERE moment < %s AND id > %s",
                [reach, last],
            )
        cursor.execute("UPDATE stores_feed SET home = stores_home() WHERE id = 1 AND home <> stores_home()")
    return came
