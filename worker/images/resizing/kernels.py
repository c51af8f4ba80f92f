"""Kernels: both passes of a resize in vector instructions, compiled for this processor.

Most machines that this runs on have no compiler, but LLVM comes as a package (`llvmlite`). The
kernels are written in its intermediate representation (https://llvm.org/docs/LangRef.html). They
take 60 ms to compile, once for all processes that are forked afterwards.

A value of the result is a sum of pixels (8 bits) times weights (22 bits), all of them whole, of
which the last 22 bits are rounded away and what is outside 0..255 is clipped. That is Pillow's
arithmetic (`ImagingResampleHorizontal_8bpc` in its Resample.c), and exact, so that the order of
additions does not matter. Pixels have four bytes, as in Pillow's memory.
"""

# Not by numba (0.68, same LLVM): compiled without a cache, a process started 1.4 s later instead of
# 0.2, had 126 MiB more instead of 18, and the first pass took 1.6 ms instead of 0.15.

import contextlib
import ctypes
import functools
import importlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import structlog

from worker.images.resizing.weights import PRECISION, PairedWeights, Weights

BLOCK = 8  # pixels that the second pass makes at once: rows of the first have a multiple of them
_ROWS = 4  # that the first pass goes through side by side, so as to fetch a weight once for them

# What both take: pointers and numbers of 64 bits.
_PARAMETERS = {"along": "pnpnnnppn", "down": "pnpnnpppn"}
_C_TYPES = {"p": ctypes.c_void_p, "n": ctypes.c_int64}

_log = structlog.get_logger(__name__)


class Kernels:
    """Both passes, compiled. Neither holds Python's lock, and threads may run them at once."""

    def __init__(self) -> None:
        """Compile. Raises ImportError without `llvmlite`, RuntimeError where it cannot compile."""
        llvm = importlib.import_module("llvmlite.binding")
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        module = llvm.parse_assembly(str(_module()))
        machine = llvm.Target.from_default_triple().create_target_machine(
            cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), jit=True
        )
        options = llvm.create_pipeline_tuning_options(speed_level=2)
        passes = llvm.create_pass_builder(machine, options)
        passes.getModulePassManager().run(module, passes)
        self._engine = llvm.create_mcjit_compiler(module, machine)  # whose code it stays
        self._engine.finalize_object()
        self._along, self._down = (
            ctypes.CFUNCTYPE(None, *(_C_TYPES[kind] for kind in kinds))(
                self._engine.get_function_address(name)
            )
            for name, kinds in _PARAMETERS.items()
        )

    def along(
        self, source: int, source_row: int, target: npt.NDArray[np.uint8], weights: PairedWeights
    ) -> None:
        """Resize as many rows along their length as `target` has.

        `source` is the address of the first, and from each to the next there are `source_row`
        bytes. `target` has (rows, pixels, 4) values, of which the pixels behind as many as there
        are weights are left as they are.
        """
        firsts, factors = weights
        self._along(
            source,
            source_row,
            target.ctypes.data,
            target.strides[0],
            len(target),
            len(firsts),
            firsts.ctypes.data,
            factors.ctypes.data,
            factors.shape[1],
        )

    def down(
        self, source: npt.NDArray[np.uint8], target: npt.NDArray[np.uint8], weights: Weights
    ) -> None:
        """Make of the rows of `source`, (any, pixels, 4), those of `target`, (rows, pixels, 3).

        There are a multiple of `BLOCK` pixels, and as many rows in `target` as weights.
        """
        rows, pixels, _ = target.shape
        firsts, counts, factors = weights
        self._down(
            source.ctypes.data,
            source.strides[0],
            target.ctypes.data,
            rows,
            pixels // BLOCK,
            firsts.ctypes.data,
            counts.ctypes.data,
            factors.ctypes.data,
            factors.shape[1],
        )


@functools.cache
def kernels() -> Kernels | None:
    """Return the compiled kernels; None where they cannot be compiled, so that Pillow resizes."""
    try:
        return Kernels()
    except ImportError:  # there are no builds of it for some processors
        return None
    except (OSError, RuntimeError) as error:  # such as a system that lets nobody write code
        _log.warning("resizing is slow", action="kernels_unavailable", error=str(error))
        return None


def _module() -> Any:
    """Return both kernels in LLVM's intermediate representation."""
    ir = importlib.import_module("llvmlite.ir")
    module = ir.Module()
    _write_along(ir, module)
    _write_down(ir, module)
    return module


def _write_along(ir: Any, module: Any) -> None:
    """Write the first pass: rows of a picture to rows of another length."""
    write = _Writer(ir, module, "along")
    source, source_row, target, target_row, rows, width, firsts, factors, pairs = write.parameters
    pixel, pair = 4, 8
    last = write.sub(rows, write.number(1))
    sums = [write.variable(pair) for _ in range(_ROWS)]
    with write.loop(rows, step=_ROWS) as y:
        # Behind the last row it is repeated.
        lines = [write.least(write.add(y, write.number(i)), last) for i in range(_ROWS)]
        sources = [write.at(source, write.mul(line, source_row)) for line in lines]
        targets = [write.at(target, write.mul(line, target_row)) for line in lines]
        with write.loop(width) as x:
            for each in sums:
                write.clear(each)
            begin = write.mul(write.entry(firsts, x), write.number(pixel))
            before = write.mul(x, pairs)
            with write.loop(pairs) as number:
                factor = write.factors(factors, write.add(before, number), pair)
                place = write.add(begin, write.mul(number, write.number(pair)))
                for each, line in zip(sums, sources, strict=True):
                    write.accumulate(each, write.at(line, place), factor)
            place = write.mul(x, write.number(pixel))
            for each, line in zip(sums, targets, strict=True):
                write.store(write.rounded(write.halves(each)), write.at(line, place))
    write.end()


def _write_down(ir: Any, module: Any) -> None:
    """Write the second pass: columns of a picture to columns of another length.

    Of the four bytes of each pixel the last is left out.
    """
    write = _Writer(ir, module, "down")
    source, source_row, target, rows, blocks, firsts, counts, factors, taps = write.parameters
    values = 4 * BLOCK
    colours = [i for i in range(values) if i % 4 < 3]
    target_row = write.mul(blocks, write.number(len(colours)))
    total = write.variable(values)
    with write.loop(rows) as y:
        begin = write.at(source, write.mul(write.entry(firsts, y), source_row))
        count, before = write.entry(counts, y), write.mul(y, taps)
        line = write.at(target, write.mul(y, target_row))
        with write.loop(blocks) as block:
            write.clear(total)
            place = write.at(begin, write.mul(block, write.number(values)))
            with write.loop(count) as tap:
                factor = write.factor(factors, write.add(before, tap), values)
                write.accumulate(total, write.at(place, write.mul(tap, source_row)), factor)
            place = write.at(line, write.mul(block, write.number(len(colours))))
            write.store(write.rounded(write.whole(total), colours), place)
    write.end()


class _Writer:
    """One function being written, in the words of the two above."""

    def __init__(self, ir: Any, module: Any, name: str) -> None:
        self._ir = ir
        self._long, self._int, self._byte = ir.IntType(64), ir.IntType(32), ir.IntType(8)
        kinds = {"p": ir.PointerType(), "n": self._long}
        takes = [kinds[kind] for kind in _PARAMETERS[name]]
        function = ir.Function(module, ir.FunctionType(ir.VoidType(), takes), name)
        self.parameters = function.args
        # Variables belong to the entry, where the compiler finds that they can be registers.
        entry = function.append_basic_block()
        self._entry = ir.IRBuilder(entry)
        self._begin = function.append_basic_block()
        self._builder = ir.IRBuilder(self._begin)
        self.add, self.sub, self.mul = self._builder.add, self._builder.sub, self._builder.mul

    def end(self) -> None:
        """Return from the function."""
        self._entry.branch(self._begin)
        self._builder.ret_void()

    def number(self, value: int) -> Any:
        return self._ir.Constant(self._long, value)

    def least(self, one: Any, other: Any) -> Any:
        return self._builder.select(self._builder.icmp_signed("<", one, other), one, other)

    def at(self, pointer: Any, distance: Any) -> Any:
        """Return the address that lies so many bytes behind another."""
        return self._builder.gep(pointer, [distance], source_etype=self._byte)

    @contextlib.contextmanager
    def loop(self, end: Any, step: int = 1) -> Iterator[Any]:
        """Repeat for 0, `step`, 2 * `step`, ... below `end`, but once at least."""
        before = self._builder.block
        body = self._builder.append_basic_block()
        after = self._builder.append_basic_block()
        self._builder.branch(body)
        self._builder.position_at_end(body)
        index = self._builder.phi(self._long)
        index.add_incoming(self.number(0), before)
        yield index
        following = self.add(index, self.number(step))
        index.add_incoming(following, self._builder.block)
        self._builder.cbranch(self._builder.icmp_signed("<", following, end), body, after)
        self._builder.position_at_end(after)

    def entry(self, numbers: Any, index: Any) -> Any:
        """Return one of an array of numbers of 64 bits."""
        return self._builder.load(self.at(numbers, self.mul(index, self.number(8))), typ=self._long)

    def factor(self, factors: Any, index: Any, values: int) -> Any:
        """Return one factor, once for each of so many values."""
        place = self.at(factors, self.mul(index, self.number(4)))
        one = self._builder.load(place, typ=self._int)
        vector = self._ir.VectorType(self._int, values)
        nothing = self._ir.Constant(vector, self._ir.Undefined)
        filled = self._builder.insert_element(nothing, one, self._ir.Constant(self._int, 0))
        return self._builder.shuffle_vector(filled, nothing, self._order([0] * values))

    def factors(self, factors: Any, index: Any, values: int) -> Any:
        """Return the factors of so many values, each its own."""
        place = self.at(factors, self.mul(index, self.number(4 * values)))
        return self._builder.load(place, align=4, typ=self._ir.VectorType(self._int, values))

    def variable(self, values: int) -> Any:
        """Return a new variable of so many whole numbers of 32 bits."""
        return self._entry.alloca(self._ir.VectorType(self._int, values))

    def clear(self, variable: Any) -> None:
        """Set every number of a variable to nought."""
        self._builder.store(self._all(variable.allocated_type, 0), variable)

    def accumulate(self, variable: Any, place: Any, factor: Any) -> None:
        """Add the bytes at an address, times a factor."""
        kind = variable.allocated_type
        narrow = self._ir.VectorType(self._byte, kind.count)
        pixels = self._builder.zext(self._builder.load(place, align=1, typ=narrow), kind)
        before = self.whole(variable)
        self._builder.store(self.add(before, self.mul(pixels, factor)), variable)

    def whole(self, variable: Any) -> Any:
        """Return the value of a variable."""
        return self._builder.load(variable)

    def halves(self, variable: Any) -> Any:
        """Return the sum of both halves of a variable."""
        value, count = self.whole(variable), variable.allocated_type.count
        orders = self._order(range(count // 2)), self._order(range(count // 2, count))
        return self.add(*(self._builder.shuffle_vector(value, value, order) for order in orders))

    def rounded(self, value: Any, chosen: Sequence[int] | None = None) -> Any:
        """Return sums as bytes: all of them, or those that are `chosen`."""
        kind = value.type
        value = self.add(value, self._all(kind, 1 << (PRECISION - 1)))
        value = self._builder.ashr(value, self._all(kind, PRECISION))
        for limit, is_beyond in ((0, "<"), (255, ">")):
            bound = self._all(kind, limit)
            beyond = self._builder.icmp_signed(is_beyond, value, bound)
            value = self._builder.select(beyond, bound, value)
        value = self._builder.trunc(value, self._ir.VectorType(self._byte, kind.count))
        if chosen is None:
            return value
        return self._builder.shuffle_vector(value, value, self._order(chosen))

    def store(self, value: Any, place: Any) -> None:
        self._builder.store(value, place, align=1)

    def _all(self, kind: Any, value: int) -> Any:
        return self._ir.Constant(kind, [value] * kind.count)

    def _order(self, numbers: Sequence[int]) -> Any:
        kind = self._ir.VectorType(self._int, len(numbers))
        return self._ir.Constant(kind, list(numbers))
