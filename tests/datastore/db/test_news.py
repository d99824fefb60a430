"""News by the database: said with the commit, heard without asking, and never relied on before it is known to come."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction

from datastore.db.news import ASK_ANYWAY_S, News, Subject, tell
from tests.support.polling import until

pytestmark = pytest.mark.django_db(transaction=True)


class Hands:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def elsewhere(subject: Subject, *, commit: bool = True) -> None:
    """Tell of a subject on another connection."""

    def say() -> None:
        try:
            with transaction.atomic():
                tell(subject)
                transaction.set_rollback(not commit)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(say).result()


def quiet(news: News) -> bool:
    return not news.any()


def test_what_was_committed_is_heard_once_and_by_those_who_listen_for_it() -> None:
    work, routes = News(Subject.WORK, Hands()), News(Subject.ROUTES, Hands())
    assert work.any() and routes.any(), "at first there may be news"
    for news in (work, routes):
        until("it hears itself", lambda news=news: quiet(news))
    elsewhere(Subject.WORK, commit=False)
    elsewhere(Subject.WORK)
    until("it hears", work.any)
    assert quiet(work) and quiet(routes)


def test_what_comes_beside_an_answer_is_heard_too() -> None:
    news = News(Subject.WORK, Hands())
    until("it hears itself", lambda: quiet(news))
    elsewhere(Subject.WORK)
    with connection.cursor() as cursor:
        cursor.execute("select pg_sleep(0.01)")
    until("it hears", news.any)


def test_now_and_then_there_may_be_news_that_nobody_told() -> None:
    hands = Hands()
    news = News(Subject.WORK, hands)
    until("it hears itself", lambda: quiet(news))
    hands.seconds += ASK_ANYWAY_S
    assert news.any() and quiet(news)


def test_a_new_connection_may_have_missed_something() -> None:
    news = News(Subject.WORK, Hands())
    until("it hears itself", lambda: quiet(news))
    connection.close()
    assert news.any()
    until("it hears itself again", lambda: quiet(news))


def test_where_nothing_is_heard_there_may_always_be_news() -> None:
    news = News(Subject.WORK, Hands())
    with transaction.atomic():  # in which nothing is delivered, as behind a pooler
        assert news.any() and news.any() and news.any()
