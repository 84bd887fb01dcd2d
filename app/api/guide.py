"""``/guide/``: the pages of the guide, as HTML that loads nothing from anywhere else."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..errors import NotFound
from ..guide import pages
from .docs import HEADERS


def guide_routes() -> list[Route]:
    paths = ("/guide/", "/guide/{page}")
    return [Route(path, _serve, methods=["GET"], include_in_schema=False) for path in paths]


async def _serve(request: Request) -> Response:
    page = pages.page(request.path_params.get("page", pages.INDEX))
    if page is None:
        raise NotFound("The guide has no such page. GET /guide/ lists those that it has.")
    return Response(page, media_type="text/html", headers=HEADERS)
