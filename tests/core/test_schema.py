import datetime as dt
import typing
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any, Literal

import pytest
from pydantic import AfterValidator, BaseModel, Field

from pygents_core import ArgumentsError, ToolSchema, WorkingMemory, dynamic, tool

if typing.TYPE_CHECKING:
    from nowhere import OnlyForTypeCheckers  # type: ignore[import-not-found]


class Address(BaseModel):
    street: str
    number: int = Field(ge=1)


class Tree(BaseModel):
    value: int
    children: "list[Tree]" = []


class Opaque:
    """A type that pydantic knows nothing about."""


def locs(error: pytest.ExceptionInfo[ArgumentsError]) -> list[tuple[str | int, ...]]:
    return [detail["loc"] for detail in error.value.errors]


class TestJsonSchema:
    def test_types_defaults_and_descriptions(self) -> None:
        async def book(name: str, nights: int = 1, *, kind: Literal["single", "double"] = "single") -> None:
            """Book a room.

            Args:
                name: Who comes.
                nights: How long.
            """

        assert ToolSchema(book).json_schema == {
            "type": "object",
            "properties": {
                "name": {"type": "string", "description": "Who comes."},
                "nights": {"type": "integer", "description": "How long.", "default": 1},
                "kind": {"type": "string", "enum": ["single", "double"], "default": "single"},
            },
            "required": ["name"],
            "additionalProperties": False,
        }

    @pytest.mark.parametrize(
        "doc",
        [
            "D.\n\n:param x: The x.",
            "D.\n\nParameters\n----------\nx : int\n    The x.",
            "D.\n\nArgs:\n    x (int): The x.",
        ],
        ids=["rest", "numpy", "google"],
    )
    def test_docstring_styles(self, doc: str) -> None:
        async def f(x: int) -> None:
            pass

        f.__doc__ = doc
        assert ToolSchema(f).json_schema["properties"]["x"]["description"] == "The x."

    def test_a_field_describes_itself(self) -> None:
        async def f(x: Annotated[int, Field(ge=3, description="Its own.")]) -> None:
            """F.

            Args:
                x: The docstring's.
            """

        assert ToolSchema(f).json_schema["properties"]["x"] == {
            "type": "integer",
            "minimum": 3,
            "description": "Its own.",
        }

    def test_models_share_definitions(self) -> None:
        async def f(home: Address, trees: list[Tree]) -> None:
            pass

        schema = ToolSchema(f).json_schema
        assert schema["properties"]["home"] == {"$ref": "#/$defs/Address"}
        assert schema["properties"]["trees"]["items"] == {"$ref": "#/$defs/Tree"}
        assert schema["$defs"].keys() == {"Address", "Tree"}

    def test_what_has_no_schema_is_anything(self) -> None:
        async def f(a, b: Opaque, c: Callable[[], int], d: "Missing" = Opaque()) -> None:  # type: ignore[no-untyped-def,name-defined]  # noqa: B008,F821
            pass

        schema = ToolSchema(f).json_schema
        assert schema["properties"] == {"a": {}, "b": {}, "c": {}, "d": {}}
        assert schema["required"] == ["a", "b", "c"]

    def test_extra_parameters(self) -> None:
        async def f(a: int, /, *rest: int, **more: str) -> None:
            pass

        schema = ToolSchema(f).json_schema
        assert schema["properties"] == {"a": {"type": "integer"}}
        assert schema["additionalProperties"] == {"type": "string"}

    def test_values_of_fixed_kwargs_are_not_shown(self) -> None:
        @tool(token="s3cret", level=lambda: 3)
        async def f(x: int, token: str, level: int = 9) -> None:
            pass

        assert f.schema.json_schema["required"] == ["x"]
        assert f.schema.json_schema["properties"]["token"] == {"type": "string"}
        assert f.schema.json_schema["properties"]["level"] == {"type": "integer"}
        assert "s3cret" not in str(f.schema.json_schema)

    def test_working_memory_is_left_out(self) -> None:
        @tool
        async def f(memory: WorkingMemory, x: int) -> None:
            pass

        assert f.schema.json_schema["properties"] == {"x": {"type": "integer"}}

    def test_is_built_once_and_late(self, monkeypatch: pytest.MonkeyPatch) -> None:
        @tool
        async def f(x: int) -> None:
            pass

        assert "schema" not in vars(f)
        assert f.schema.json_schema is f.schema.json_schema
        monkeypatch.delattr(f, "fn")
        assert f.schema.validate(["1"], {}) == ((1,), {})


class TestValidate:
    async def place(
        self,
        when: dt.datetime,
        amount: Decimal,
        to: Address,
        *,
        tags: set[str] | None = None,
        note: str | None = None,
    ) -> None:
        pass

    @property
    def schema(self) -> ToolSchema:
        return ToolSchema(self.place)

    def test_gives_typed_values_and_adds_nothing(self) -> None:
        args, kwargs = self.schema.validate(
            ["2026-01-02T03:04:05Z", "1.50"], {"to": {"street": "s", "number": "3"}, "tags": ["a", "a"]}
        )
        assert args == (dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC), Decimal("1.50"))
        assert kwargs == {"to": Address(street="s", number=3), "tags": {"a"}}

    def test_lists_every_error(self) -> None:
        with pytest.raises(ArgumentsError) as caught:
            self.schema.validate(["never"], {"to": {"street": 1, "number": 0}, "unknown": 1})
        assert locs(caught) == [
            ("args", 0),
            ("kwargs", "amount"),
            ("kwargs", "to", "street"),
            ("kwargs", "to", "number"),
            ("kwargs", "unknown"),
        ]
        assert all(detail.keys() == {"loc", "msg"} and detail["msg"] for detail in caught.value.errors)
        assert isinstance(caught.value, ValueError)
        assert "'place'" in str(caught.value)

    def test_too_many_and_twice(self) -> None:
        async def f(a: int, b: int = 0) -> None:
            pass

        with pytest.raises(ArgumentsError) as caught:
            ToolSchema(f).validate([1, 2, 3], {"a": 1})
        assert set(locs(caught)) == {("args", 2), ("kwargs", "a")}

    def test_kinds_of_parameters(self) -> None:
        async def f(a: int, /, b: int, *rest: int, c: int, **more: int) -> None:
            pass

        assert ToolSchema(f).validate(["1", "2", "3"], {"c": "4", "d": "5"}) == ((1, 2, 3), {"c": 4, "d": 5})
        with pytest.raises(ArgumentsError) as caught:
            ToolSchema(f).validate(["1", "2", "x"], {"c": 4, "d": "y"})
        assert locs(caught) == [("args", 2), ("kwargs", "d")]
        with pytest.raises(ArgumentsError) as caught:
            ToolSchema(f).validate([], {"b": 1, "c": 1})
        assert [loc[0] for loc in locs(caught)] == ["args"]

    def test_default_of_a_positional_only_parameter_is_not_added(self) -> None:
        async def f(a: int, b: int = 5, /) -> None:
            pass

        assert ToolSchema(f).validate([1], {}) == ((1,), {})

    def test_types_that_cannot_be_checked_take_anything(self) -> None:
        async def f(a, b: Opaque, c: "OnlyForTypeCheckers") -> None:  # type: ignore[no-untyped-def]
            pass

        anything = object()
        assert ToolSchema(f).validate([anything], {"b": 1, "c": "x"}) == ((anything,), {"b": 1, "c": "x"})

    def test_one_bad_annotation_does_not_spoil_the_others(self) -> None:
        async def f(a: "OnlyForTypeCheckers", b: "int") -> None:
            pass

        with pytest.raises(ArgumentsError):
            ToolSchema(f).validate([1, "x"], {})

    def test_fixed_kwargs(self) -> None:
        @tool(token="t", n=lambda: 1)
        async def f(x: int, token: str, n: int) -> None:
            pass

        assert f.schema.validate(["1"], {}) == ((1,), {})
        assert f.schema.validate(["1"], {"n": "2"}) == ((1,), {"n": 2})
        with pytest.raises(ArgumentsError) as caught:
            f.schema.validate([1, "t"], {})
        assert locs(caught) == [("kwargs", "token")]

    def test_fixed_kwargs_beyond_the_signature(self) -> None:
        @tool(extra="x")
        async def f(**more: int) -> None:
            pass

        assert f.schema.validate([], {"n": "1"}) == ((), {"n": 1})

    def test_callable_arguments_are_not_checked(self) -> None:
        @dynamic
        def today() -> int:
            return 1

        async def f(x: int, y: int) -> None:
            pass

        def late() -> int:
            return 2

        assert ToolSchema(f).validate([today], {"y": late}) == ((today,), {"y": late})

    @pytest.mark.parametrize(
        "memory", [WorkingMemory, WorkingMemory | None, Annotated[WorkingMemory, "mine"], "WorkingMemory"]
    )
    def test_working_memory_cannot_be_given(self, memory: Any) -> None:
        async def f(x: int, memory: Any, y: int = 0) -> None:
            pass

        f.__annotations__["memory"] = memory
        made = tool(f)
        assert made.memory_parameter == "memory"
        assert made.schema.validate(["1", "2"], {}) == ((1, 2), {})
        with pytest.raises(ArgumentsError):
            made.schema.validate([1], {"memory": {"limit": 1}})

    def test_code_of_the_user_that_raises(self) -> None:
        def explode(_: int) -> int:
            raise KeyError("inside")

        async def f(x: Annotated[int, AfterValidator(explode)]) -> None:
            pass

        with pytest.raises(ArgumentsError, match="KeyError"):
            ToolSchema(f).validate([1], {})


class TestFarTooManyErrors:
    """However much is wrong, little is told of it, and it is not made only to be thrown away."""

    def refused(self, fn: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> ArgumentsError:
        with pytest.raises(ArgumentsError) as caught:
            ToolSchema(fn).validate(args, kwargs)
        return caught.value

    def test_arguments_that_no_parameter_takes_are_counted(self) -> None:
        async def echo(text: str = "") -> None: ...

        assert self.refused(echo, ["x"] * 5000, {}).errors == [
            {"loc": ("args",), "msg": "At most 1 positional arguments, not 5000"}
        ]
        assert self.refused(echo, [], {f"x{index}": 1 for index in range(5000)}).errors == [
            {"loc": ("kwargs",), "msg": "At most 1 keyword arguments, not 5000"}
        ]

    def test_a_few_are_told_each(self) -> None:
        async def echo(text: str = "") -> None: ...

        assert [each["loc"] for each in self.refused(echo, ["x", 1, 2], {}).errors] == [("args", 1), ("args", 2)]

    def test_of_wrong_items_a_hundred_are_told(self) -> None:
        async def total(numbers: list[int]) -> None: ...

        errors = self.refused(total, [["x"] * 1000], {}).errors
        assert [each["loc"] for each in errors] == [("args", 0, index) for index in range(100)]

    def test_of_very_many_their_number_is_told(self) -> None:
        async def total(*numbers: int, **others: int) -> None: ...

        assert self.refused(total, ["x"] * 1001, {}).errors == [
            {"loc": ("args",), "msg": "1001 errors, too many to tell them all"}
        ]
        assert self.refused(total, [], {f"x{index}": "y" for index in range(1001)}).errors == [
            {"loc": ("kwargs",), "msg": "1001 errors, too many to tell them all"}
        ]

    def test_as_many_as_are_taken_are_no_error(self) -> None:
        async def total(*numbers: int, **others: int) -> None: ...

        checked, _ = ToolSchema(total).validate(["1"] * 5000, {f"x{index}": 1 for index in range(5000)})
        assert checked == (1,) * 5000
