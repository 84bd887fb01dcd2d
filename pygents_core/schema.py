"""A tool's signature as JSON schema, and arguments checked against it."""

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal, NamedTuple, get_type_hints

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ArgsKwargs, SchemaValidator, core_schema

from .errors import ArgumentsError, ErrorDetail, NotJsonError
from .serialization import is_callable_argument, to_jsonable

JsonSchema = dict[str, Any]

MOST_DETAILS = 100
"""Reasons that an ArgumentsError tells: a list of a million wrong items is told in a hundred of them."""
MOST_ERRORS = 1000
"""Of more than so many errors no reasons are made, because pydantic makes those of all at once, and that takes long."""

_MODES: Mapping[Any, Literal["positional_only", "positional_or_keyword", "keyword_only"]] = {
    inspect.Parameter.POSITIONAL_ONLY: "positional_only",
    inspect.Parameter.POSITIONAL_OR_KEYWORD: "positional_or_keyword",
    inspect.Parameter.KEYWORD_ONLY: "keyword_only",
}


_POSITIONAL = frozenset({inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD})


class _Fixed:
    """Stands for the value of a fixed kwarg while arguments are checked."""


_FIXED = _Fixed()


class _Parameter(NamedTuple):
    """One parameter: what Python knows of it, and pydantic's adapter of its type (None: anything goes)."""

    python: inspect.Parameter
    adapter: TypeAdapter[Any] | None

    @property
    def name(self) -> str:
        return self.python.name

    @property
    def has_default(self) -> bool:
        return self.python.default is not inspect.Parameter.empty

    @property
    def core(self) -> core_schema.CoreSchema:
        if self.adapter is None:
            return core_schema.any_schema()
        return core_schema.no_info_wrap_validator_function(_unless_placeholder, self.adapter.core_schema)


def parameter_hints(fn: Callable[..., Any]) -> dict[str, Any]:
    """The annotations of a function's parameters, evaluated; those that cannot be evaluated are missing."""
    annotations = {name: hint for name, hint in getattr(fn, "__annotations__", {}).items() if name != "return"}
    hints: dict[str, Any] = {}
    for name, annotation in annotations.items():
        try:
            hints |= get_type_hints(_Annotated({name: annotation}), getattr(fn, "__globals__", {}), include_extras=True)
        except Exception:  # noqa: S112 - a name that exists for type checkers only, or any other code of the user
            continue
    return hints


class ToolSchema:
    """Which arguments a function takes. Everything is built at first use: defining a tool has to be cheap.

    ``fixed`` names the parameters that have a value unless the caller gives one: they are optional, and their values
    are not known here. ``hidden`` names the parameters that callers cannot give at all.
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        *,
        name: str | None = None,
        fixed: Collection[str] = (),
        hidden: Collection[str] = (),
    ) -> None:
        self._fn = fn
        self._name: str = name or fn.__name__
        self._fixed = frozenset(fixed)
        self._hidden = frozenset(hidden)

    @cached_property
    def json_schema(self) -> JsonSchema:
        """JSON schema (2020-12) of the arguments as one object, whose properties are the parameters by name.

        ``*args`` is not in it: it has no name that a caller could use. A type without a JSON schema is ``{}``.
        """
        schemas, definitions = _json_schemas([p for p in self._parameters if p.python.kind in _MODES])
        extra = self._of_kind(inspect.Parameter.VAR_KEYWORD)
        return {
            "type": "object",
            "properties": {name: self._property(name, schema) for name, schema in schemas.items()},
            "required": [p.name for p in self._parameters if self._is_required(p)],
            "additionalProperties": _json_schemas([extra])[0][extra.name] if extra else False,
            **definitions,
        }

    def validate(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments as their annotated types: pydantic's lax Python mode, as for parsed JSON.

        Adds nothing: no defaults, no fixed kwargs. A callable argument (a function, a ``@dynamic`` one) is not checked
        and stays what it is. Raises ArgumentsError with every reason, or the first hundred.
        """
        self._check_counts(len(args), len(kwargs))
        given = {**dict.fromkeys(self._fixed, _FIXED), **kwargs}
        try:
            checked_args, checked_kwargs = self._validator.validate_python(ArgsKwargs(tuple(args), given))
        except ValidationError as error:
            details = _details(error) if error.error_count() <= MOST_ERRORS else _too_many(error, args)
            raise ArgumentsError(self._name, details) from None
        except Exception as error:  # a user's own validator, or nesting that is too deep for one
            raise ArgumentsError(self._name, [{"loc": ("args",), "msg": f"{type(error).__name__}: {error}"}]) from error
        return checked_args[: len(args)], {name: checked_kwargs[name] for name in kwargs}

    def _check_counts(self, args: int, kwargs: int) -> None:
        """Far more arguments than there are parameters are refused as they are counted, not one by one."""
        for side, given, most in (("args", args, self._most_args), ("kwargs", kwargs, self._most_kwargs)):
            if most is not None and given > most + MOST_DETAILS:
                message = f"At most {most} {'positional' if side == 'args' else 'keyword'} arguments, not {given}"
                raise ArgumentsError(self._name, [{"loc": (side,), "msg": message}])

    @cached_property
    def _most_args(self) -> int | None:
        if self._of_kind(inspect.Parameter.VAR_POSITIONAL):
            return None
        return sum(p.python.kind in _POSITIONAL for p in self._parameters)

    @cached_property
    def _most_kwargs(self) -> int | None:
        return None if self._of_kind(inspect.Parameter.VAR_KEYWORD) else len(self._parameters)

    @cached_property
    def _parameters(self) -> list[_Parameter]:
        hints = parameter_hints(self._fn)
        parameters = inspect.signature(self._fn).parameters.values()
        return [_Parameter(p, _adapter(hints, p.name)) for p in parameters if p.name not in self._hidden]

    @cached_property
    def _validator(self) -> SchemaValidator:
        extra_args = self._of_kind(inspect.Parameter.VAR_POSITIONAL)
        extra_kwargs = self._of_kind(inspect.Parameter.VAR_KEYWORD)
        return SchemaValidator(
            core_schema.arguments_schema(
                [_core_parameter(p) for p in self._parameters if p.python.kind in _MODES],
                var_args_schema=extra_args.core if extra_args else None,
                var_kwargs_schema=extra_kwargs.core if extra_kwargs else None,
                var_kwargs_mode="uniform" if extra_kwargs else None,
            )
        )

    @cached_property
    def _descriptions(self) -> dict[str, str]:
        text = inspect.getdoc(self._fn) or ""
        if ":" not in text and "--" not in text:  # no style of docstring has parameters without either
            return {}
        import docstring_parser  # noqa: PLC0415 (many tools do not need it, and it is not quick to import)

        try:
            parsed = docstring_parser.parse(text)
        except docstring_parser.ParseError:
            return {}
        return {param.arg_name: param.description for param in parsed.params if param.description}

    def _of_kind(self, kind: Any) -> _Parameter | None:
        return next((p for p in self._parameters if p.python.kind is kind), None)

    def _is_required(self, parameter: _Parameter) -> bool:
        return parameter.python.kind in _MODES and not parameter.has_default and parameter.name not in self._fixed

    def _property(self, name: str, schema: JsonSchema) -> JsonSchema:
        parameter = next(p for p in self._parameters if p.name == name)
        described = {"description": self._descriptions[name]} if name in self._descriptions else {}
        shows_default = parameter.has_default and name not in self._fixed
        return {**described, **schema, **(_default(parameter.python.default) if shows_default else {})}


class _Annotated:
    """Something that ``get_type_hints`` takes, with these annotations."""

    def __init__(self, annotations: dict[str, Any]) -> None:
        self.__annotations__ = annotations


def _adapter(hints: Mapping[str, Any], name: str) -> TypeAdapter[Any] | None:
    if name not in hints:
        return None
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(hints[name])
        SchemaValidator(adapter.core_schema)  # not merely a promise of a schema
    except Exception:  # a type that pydantic cannot handle, or code of the user that builds one
        return None
    return adapter


def _unless_placeholder(value: Any, check: core_schema.ValidatorFunctionWrapHandler) -> Any:
    return value if value is _FIXED or is_callable_argument(value) else check(value)


def _core_parameter(parameter: _Parameter) -> core_schema.ArgumentsParameter:
    schema = parameter.core
    if parameter.has_default:
        schema = core_schema.with_default_schema(schema, default=None)  # cut off again by validate()
    return core_schema.arguments_parameter(parameter.name, schema, mode=_MODES[parameter.python.kind])


def _json_schemas(parameters: Sequence[_Parameter]) -> tuple[dict[str, JsonSchema], JsonSchema]:
    """Schemas by parameter, and the definitions that they share."""
    typed: list[tuple[str, Literal["validation"], TypeAdapter[Any]]] = [
        (p.name, "validation", p.adapter) for p in parameters if p.adapter and _has_json_schema(p.adapter)
    ]
    found, definitions = TypeAdapter.json_schemas(typed)
    return {p.name: found.get((p.name, "validation"), {}) for p in parameters}, definitions


def _has_json_schema(adapter: TypeAdapter[Any]) -> bool:
    try:
        adapter.json_schema()
    except Exception:
        return False
    return True


def _default(value: Any) -> JsonSchema:
    try:
        return {"default": to_jsonable(value)}
    except NotJsonError:
        return {}


def _details(error: ValidationError) -> Iterator[ErrorDetail]:
    for detail in error.errors(include_url=False, include_context=False, include_input=False)[:MOST_DETAILS]:
        side = "args" if isinstance(detail["loc"][0], int) else "kwargs"
        yield {"loc": (side, *detail["loc"]), "msg": detail["msg"]}


def _too_many(error: ValidationError, args: Sequence[Any]) -> list[ErrorDetail]:
    return [{"loc": ("args" if args else "kwargs",), "msg": f"{error.error_count()} errors, too many to tell them all"}]
