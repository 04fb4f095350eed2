"""The registry of active downloads."""

from omtcp.apps.downloads import Download, Downloads


def download(total: int, backlog: list[int]) -> Download:
    return Download(
        who=lambda: "192.0.2.1:1", path="/a", total=total, started_ns=0, backlog=lambda: backlog[0]
    )


def test_what_waits_in_the_transport_is_not_sent() -> None:
    backlog = [0]
    one = download(100, backlog)
    one.queued, backlog[0] = 60, 25
    assert one.sent == 35
    backlog[0] = 70  # something else waits there too
    assert one.sent == 0


def test_a_download_leaves_when_all_is_through() -> None:
    backlog = [0]
    downloads = Downloads()
    one, other = download(100, backlog), download(100, [0])
    downloads.add(one)
    downloads.add(other)
    one.queued, backlog[0] = 100, 1
    assert list(downloads.active()) == [one, other]
    backlog[0] = 0
    assert list(downloads.active()) == [other]
    assert (downloads.completed, downloads.failed) == (1, 0)


def test_an_end_counts_once() -> None:
    downloads = Downloads()
    one = download(100, [0])
    downloads.add(one)
    downloads.finish(one, failed=True)
    downloads.finish(one, failed=False)
    assert (len(downloads), downloads.completed, downloads.failed) == (0, 0, 1)
