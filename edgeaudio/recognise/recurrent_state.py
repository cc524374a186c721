"""State that a model keeps from one run to the next, read from its graph.

Fields are those of schema.fbs, version 3, in TensorFlow's `lite/schema/`.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

from edgeaudio.recognise.flatbuffer import Table, root_of

_OPERATOR_CODES, _SUBGRAPHS = 1, 2  # Model
_TENSORS, _OPERATORS = 0, 3  # SubGraph
_IS_VARIABLE = 5  # Tensor
_OPCODE_INDEX, _OPTIONS = 0, 4  # Operator
_OLD_CODE, _CODE = 0, 3  # OperatorCode: a byte, and since 2020 an int beside it
_INIT_SUBGRAPH = 0  # CallOnceOptions
_CALL_ONCE, _READ_VARIABLE, _ASSIGN_VARIABLE = 129, 143, 144  # BuiltinOperator


class State(Enum):
    """Kind of state that is kept from one run to the next."""

    NONE = "none"
    VARIABLES = "variables"  # tensors that the runtime can reset: LSTM, GRU, RNN, SVDF
    RESOURCES = "resources"  # resource variables written at each run, which cannot be reset
    UNSET = "unset"  # resource variables that are read and never written: the weights are missing


def state_of(content: bytes) -> State:
    """Return the kind of state of the model in those bytes. Raises FlatbufferError if they are damaged."""
    model = root_of(content)
    codes = [max(code.number(_OLD_CODE, "<b"), code.number(_CODE, "<i")) for code in model.tables(_OPERATOR_CODES)]
    subgraphs = model.tables(_SUBGRAPHS)
    operators = [list(_operators(subgraph, codes)) for subgraph in subgraphs]
    # subgraphs that run once, before the first run, initialise variables: no state
    initial = {
        options.number(_INIT_SUBGRAPH, "<i")
        for inner in operators
        for code, operator in inner
        if code == _CALL_ONCE and (options := operator.table(_OPTIONS))
    }
    if any(
        code == _ASSIGN_VARIABLE for number, inner in enumerate(operators) if number not in initial for code, _ in inner
    ):
        return State.RESOURCES
    used = {code for inner in operators for code, _ in inner}
    if _READ_VARIABLE in used and _ASSIGN_VARIABLE not in used:
        return State.UNSET
    if any(tensor.number(_IS_VARIABLE, "<?") for subgraph in subgraphs for tensor in subgraph.tables(_TENSORS)):
        return State.VARIABLES
    return State.NONE


def _operators(subgraph: Table, codes: list[int]) -> Iterator[tuple[int, Table]]:
    for operator in subgraph.tables(_OPERATORS):
        index = operator.number(_OPCODE_INDEX, "<I")
        yield codes[index] if index < len(codes) else -1, operator
