"""Arrays as people have them: the same numbers in other clothes, and what holds no numbers at all."""

from __future__ import annotations

import datetime
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import scipy.sparse
import torch

from lab.networks.elman import ElmanRNN


def draw(*shape, seed=0):
    """Quarters between −2 and 2: exact in every floating-point type, so that only the clothes differ."""
    return np.random.default_rng(seed).integers(-8, 9, size=shape) / 4


X = draw(6, 4, 3)
Y = np.array([1.0, -1.0, 1.0, 1.0, -1.0, -1.0])


def readonly(values):
    values = values.copy()
    values.flags.writeable = False
    return values


def memory_mapped(values):
    """A read-only map of a file that is gone already."""
    import tempfile

    with tempfile.TemporaryFile() as file:
        np.save(file, values)
        file.seek(0)
        version = np.lib.format.read_magic(file)
        assert version == (1, 0)
        np.lib.format.read_array_header_1_0(file)
        return np.memmap(file, values.dtype, "r", file.tell(), values.shape)


#: name -> function of a float64 array; what it returns holds the same numbers
SAME_NUMBERS = {
    "nested lists": lambda a: a.tolist(),
    "nested tuples": lambda a: tuple(map(tuple, a.tolist())) if a.ndim > 1 else tuple(a.tolist()),
    "a list of arrays": lambda a: list(a),
    "a list of tensors": lambda a: [torch.tensor(row) for row in a],
    "float32": lambda a: a.astype("f4"),
    "float16": lambda a: a.astype("f2"),
    "long double": lambda a: a.astype(np.longdouble),
    "big-endian": lambda a: a.astype(">f8"),
    "Fortran order": np.asfortranarray,
    "negative strides": lambda a: a[::-1].copy()[::-1],
    "every second row of a larger array": lambda a: np.repeat(a, 2, axis=0)[::2],
    "transposed memory": lambda a: a.T.copy().T,
    "read-only": readonly,
    "a memory map": memory_mapped,
    "objects that are floats": lambda a: a.astype(object),
    "objects that are fractions": lambda a: np.vectorize(Fraction, otypes=[object])(a),
    "objects that are decimals": lambda a: np.vectorize(lambda v: Decimal(float(v)), otypes=[object])(a),
    "a masked array without a mask": np.ma.masked_array,
    "tensor float64": torch.tensor,
    "tensor float32": lambda a: torch.tensor(a, dtype=torch.float32),
    "tensor float16": lambda a: torch.tensor(a, dtype=torch.float16),
    "tensor bfloat16": lambda a: torch.tensor(a, dtype=torch.bfloat16),
    "tensor that requires gradients": lambda a: torch.tensor(a, requires_grad=True),
    "tensor inside a graph": lambda a: torch.tensor(a, requires_grad=True) * 1,
    "parameter": lambda a: torch.nn.Parameter(torch.tensor(a)),
    "tensor with other strides": lambda a: torch.tensor(a.T.copy()).permute(*reversed(range(a.ndim))),
    "real part of a complex tensor": lambda a: torch.tensor(a + 1j).real,
    "tensor with the negative bit": lambda a: torch.tensor(1j * -a).conj().imag,
}

#: name -> function of a float64 array that rounds it to other numbers; compared with float64 copies of these
OTHER_NUMBERS = {
    "int64": lambda a: (4 * a).astype("i8"),
    "int8": lambda a: (4 * a).astype("i1"),
    "uint8": lambda a: np.abs(4 * a).astype("u1"),
    "uint64": lambda a: np.abs(4 * a).astype("u8"),
    "bool": lambda a: a > 0,
    "Python's integers": lambda a: (4 * a).astype("i8").tolist(),
    "Python's bools": lambda a: (a > 0).tolist(),
    "tensor int64": lambda a: torch.tensor(4 * a).long(),
    "tensor int8": lambda a: torch.tensor(4 * a).char(),
    "tensor bool": lambda a: torch.tensor(a > 0),
}

#: name -> (function of a float64 array, what the refusal says)
NO_NUMBERS = {
    "None": (lambda a: None, ""),
    "a text": (lambda a: "series", ""),
    "bytes": (lambda a: b"\x00" * 64, ""),
    "a dictionary": (lambda a: {"X": 1}, ""),
    "a set": (lambda a: {1, 2}, ""),
    "a generator": (lambda a: (value for value in (1, 2)), ""),
    "a function": (lambda a: len, ""),
    "a class": (lambda a: int, ""),
    "words": (lambda a: np.full(a.shape, "up"), ""),
    "words as objects": (lambda a: np.full(a.shape, "up", dtype=object), ""),
    "a ragged list": (lambda a: [[1.0, 2.0], [1.0]], ""),
    "a list with a dictionary": (lambda a: [{"a": 1}, 2.0], ""),
    "complex": (lambda a: a + 1j, ""),
    "a complex tensor": (lambda a: torch.tensor(a + 1j), ""),
    "a conjugated tensor": (lambda a: torch.tensor(a + 1j).conj(), ""),
    "dates": (lambda a: np.zeros(a.shape, "datetime64[D]"), ""),
    "durations": (lambda a: np.zeros(a.shape, "timedelta64[s]"), ""),
    "Python's dates": (lambda a: [datetime.date(2020, 1, 1)] * len(a), ""),
    "records": (lambda a: np.zeros(len(a), dtype=[("x", float), ("y", float)]), ""),
    "masked values": (lambda a: np.ma.masked_array(a, a > 0), ""),
    "a sparse matrix": (lambda a: scipy.sparse.csr_matrix(a.reshape(len(a), -1)), ""),
    "a sparse tensor": (lambda a: torch.tensor(a).to_sparse(), ""),
    "a meta tensor": (lambda a: torch.empty(a.shape, device="meta"), ""),
    "a quantized tensor": (
        lambda a: torch.quantize_per_tensor(torch.tensor(a).float(), 0.25, 0, torch.qint8),
        "quantized",
    ),
    "a missing value of pandas": (lambda a: [pd.NA] * len(a), ""),
    "an integer beyond floats": (lambda a: [10**400] * len(a), ""),
    "a network": (lambda a: ElmanRNN(2, 1), ""),
}

#: name -> function of a float64 array; numbers that no learner can use
NOT_FINITE = {
    "one NaN": lambda a: np.where(a == a.max(), np.nan, a),
    "all NaN": lambda a: a * np.nan,
    "inf": lambda a: np.where(a == a.max(), np.inf, a),
    "minus inf": lambda a: np.where(a == a.min(), -np.inf, a),
    "None inside": lambda a: np.where(a == a.max(), None, a.astype(object)),
    "NaN in a tensor": lambda a: torch.tensor(np.where(a == a.max(), np.nan, a)),
    "NaN in float32": lambda a: np.where(a == a.max(), np.nan, a).astype("f4"),
    "long doubles beyond float64": lambda a: np.full(a.shape, np.longdouble(10) ** 400),
}
