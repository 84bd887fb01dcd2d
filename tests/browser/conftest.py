from tests.chromium import browser, page

__all__ = ["browser", "page"]
