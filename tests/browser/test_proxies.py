"""A page behind a proxy whose service is away for a while: its EventSource is not told that all is over."""

from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.browser.test_eventsource import LISTEN, post, received, values
from tests.deploy.proxies import SETUPS, proxied
from tests.helpers import eventually_sync
from tests.service import serving

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.mark.parametrize("name", SETUPS)
def test_the_stream_goes_on_after_the_proxy_was_asked_in_vain(name: str, tmp_path: Path, page: Page) -> None:
    with serving(tmp_path, "--demo") as service, proxied(name, tmp_path / "proxy", service.port) as proxy:
        page.goto(f"{proxy.url}/healthz")
        page.evaluate(LISTEN)
        post(service, 3, 0)
        page.wait_for_function("window.received.length == 3")
        service.kill()
        with page.expect_response(lambda answer: answer.url.endswith("/stream"), timeout=20_000) as asked:
            pass  # it comes back by itself, while the service is away
        assert asked.value.status == 200
        service.start()
        post(service, 3, 0)
        eventually_sync(lambda: len(received(page)) >= len(values(service)), timeout=20)
        assert received(page) == values(service)
