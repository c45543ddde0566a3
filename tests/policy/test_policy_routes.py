"""A policy names the routes that there are wire formats for, and no others."""

import re
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from hoopguard.payload.formats import FORMATS
from hoopguard.policy.model import Connection
from hoopguard.policy.routes import ONLY_BY_NAME, ROUTES, Api, check_route, routes_of


def connection(**more: Any) -> Connection:
    return Connection.model_validate(
        {"name": "llm", "upstream": "http://localhost:8000", "allow": ({"groups": ("*",)},), **more}
    )


def test_the_policys_routes_are_the_wire_formats() -> None:
    """Name, method, path and API are the same on both sides of the house's wall."""
    assert {name: tuple(route) for name, route in ROUTES.items()} == {
        format_.name: (format_.method, format_.path, format_.api) for format_ in FORMATS
    }


def test_two_routes_are_never_one_address() -> None:
    """A request is read by one format, in whatever order a policy lists them."""
    assert len({(route.method, route.path) for route in ROUTES.values()}) == len(ROUTES)


def test_every_api_has_routes_and_auto_has_them_all() -> None:
    """No value of ``api`` leaves a connection without routes, and no route is of an API that cannot be named."""
    assert {*routes_of("auto"), *ONLY_BY_NAME} == set(ROUTES)
    assert ONLY_BY_NAME.isdisjoint(routes_of("auto"))
    assert {route.api for route in ROUTES.values()} == {*get_args(Api)} - {"auto"}


@pytest.mark.parametrize("api", get_args(Api))
def test_a_connection_without_routes_has_those_of_its_api(api: str) -> None:
    """What an API has is listed unless the policy lists less."""
    assert connection(api=api).routes == routes_of(api)
    assert connection(api=api, routes=("models",)).routes == ("models",)


def test_a_connection_speaks_openai_unless_it_says_otherwise() -> None:
    """The default API's routes are the default routes."""
    assert connection().routes == routes_of("openai")


def test_an_unknown_api_is_refused() -> None:
    """It has no routes that could be listed."""
    with pytest.raises(ValidationError, match="api"):
        connection(api="smtp")


@pytest.mark.parametrize("route", ["chat", "POST", "POST v1/x", "PUT /x", "POST /v1/x?y", "POST /{model}", "POST /x\n"])
def test_what_names_no_route_is_refused(route: str) -> None:
    """A route is a known name, or a method and a path."""
    with pytest.raises(ValueError, match="expected one of"):
        check_route(route)


@pytest.mark.parametrize("name", [name for name, route in ROUTES.items() if route.method != "DELETE"])
def test_a_route_that_has_a_name_goes_by_it(name: str) -> None:
    """As plain JSON its streams and repeated texts would not be understood."""
    path = ROUTES[name].path.replace("{model}", "llama-3")
    names = [re.escape(other) for other, route in ROUTES.items() if route.path == ROUTES[name].path]
    with pytest.raises(ValueError, match=f"expected '({'|'.join(names)})'"):
        check_route(f"{ROUTES[name].method} {path}")


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("name", ROUTES)
def test_a_named_path_is_never_a_plain_route(name: str, method: str) -> None:
    """Not by another method either."""
    with pytest.raises(ValueError, match="by its name"):
        check_route(f"{method} {ROUTES[name].path.replace('{model}', 'llama-3')}")
