"""The CTranslate2 reader takes whole files of format 6 and names what is wrong with others."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from model_adapters.backbone.ct2 import Ct2Model, read_ct2
from model_adapters.backbone.whisper import SCALARS, whisper_arrays

# fmt: off
GOLDEN = bytes.fromhex(
    "06000000"                        # format 6
    "0c00" "5768697370657253706563" "00"  # "WhisperSpec"
    "03000000"                        # revision 3
    "02000000"                        # two variables
    "0200" "6100" "02" "02000000" "03000000" "04" "0c000000"  # a: float16 [2, 3], 12 bytes
    "003c" "0040" "0042" "0044" "0045" "00b8"                 # 1 2 3 / 4 5 -0.5
    "0200" "6200" "00" "01" "01000000" "ff"                   # b: int8 scalar -1
    "01000000" "0200" "6300" "0200" "6100"                    # alias c -> a
)
# fmt: on


def test_a_file_made_by_hand() -> None:
    model = read_ct2(GOLDEN)
    assert (model.spec, model.revision, dict(model.aliases)) == ("WhisperSpec", 3, {"c": "a"})
    assert list(model.variables) == ["a", "b"]
    assert model.variables["a"].dtype == np.float16
    assert model.variables["a"].tolist() == [[1, 2, 3], [4, 5, -0.5]]
    assert model.variables["b"].shape == ()
    assert model.variables["b"] == -1


@pytest.mark.fault
def test_a_file_cut_anywhere_is_refused() -> None:
    for length in range(len(GOLDEN)):
        with pytest.raises(ValueError, match="cut short"):
            read_ct2(GOLDEN[:length])


@pytest.mark.fault
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (GOLDEN[:4], struct.pack("<I", 5), "format version 5 is not supported, only 6"),
        (b"\x04\x0c\0\0\0", b"\x09\x0c\0\0\0", "variable 'a' has the unknown type 9"),
        (b"\x04\x0c\0\0\0", b"\x04\x0a\0\0\0", r"variable 'a', shape \(2, 3\), has 10 bytes, not 12"),
        (b"Whisper", b"\xff\xfe\xfd\xfc\xfb\xfa\xf9", "spec name is not UTF-8"),
        (GOLDEN, GOLDEN + b"more", "4 bytes after its end"),
    ],
)
def test_a_corrupt_file_is_refused(old: bytes, new: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_ct2(GOLDEN.replace(old, new))


def one_layer(**changes: NDArray[Any]) -> Ct2Model:
    """A Whisper of one layer and width 2, with the shapes that matter to the conversion."""
    width, ones = 2, np.ones
    variables: dict[str, NDArray[Any]] = {name: np.array(1, np.int8) for name in SCALARS}
    variables |= {f"{half}/num_heads": np.array(1, np.int16) for half in ("encoder", "decoder")}
    variables["decoder/embeddings/weight"] = ones((5, width))
    for conv in ("conv1", "conv2"):
        variables |= {f"encoder/{conv}/weight": ones((width, 3, 3)), f"encoder/{conv}/bias": ones(width)}
    fused = np.arange(3 * width * width, dtype=np.float32).reshape(3 * width, width)
    fused_bias = np.array([1, 2, 0, 0, 5, 6], dtype=np.float32)
    for half in ("encoder", "decoder"):
        variables[f"{half}/position_encodings/encodings"] = ones((4, width))
        blocks: dict[str, tuple[NDArray[Any], NDArray[Any]]] = {
            "self_attention": (fused, fused_bias),
            "ffn": (ones((8, width)), ones(8)),
        }
        if half == "decoder":
            blocks["attention"] = (ones((width, width)), ones(width))
            variables["decoder/layer_0/attention/linear_1/weight"] = fused[:4]
            variables["decoder/layer_0/attention/linear_1/bias"] = fused_bias[2:]
            variables["decoder/layer_0/attention/linear_2/weight"] = ones((width, width))
            variables["decoder/layer_0/attention/linear_2/bias"] = ones(width)
        for block, (weight, bias) in blocks.items():
            name = f"{half}/layer_0/{block}"
            variables |= {f"{name}/linear_0/weight": weight, f"{name}/linear_0/bias": bias}
            variables |= {f"{name}/layer_norm/gamma": ones(width), f"{name}/layer_norm/beta": ones(width)}
            if block != "attention":
                variables |= {
                    f"{name}/linear_1/weight": ones((width, 8)),
                    f"{name}/linear_1/bias": ones(width),
                }
        variables |= {f"{half}/layer_norm/gamma": ones(width), f"{half}/layer_norm/beta": ones(width)}
    return Ct2Model("WhisperSpec", 3, {**variables, **changes}, {})


def attention(arrays: Mapping[str, NDArray[Any]], name: str) -> NDArray[Any]:
    return arrays[f"model.encoder.layers.0.self_attn.{name}"]


def test_a_fused_projection_becomes_query_key_and_value() -> None:
    arrays = whisper_arrays(one_layer(), layers=1)
    assert attention(arrays, "q_proj.weight").tolist() == [[0, 1], [2, 3]]
    assert attention(arrays, "k_proj.weight").tolist() == [[4, 5], [6, 7]]
    assert attention(arrays, "v_proj.weight").tolist() == [[8, 9], [10, 11]]
    assert attention(arrays, "q_proj.bias").tolist() == [1, 2]
    assert attention(arrays, "v_proj.bias").tolist() == [5, 6]
    assert not [name for name in arrays if name.endswith("k_proj.bias")]
    cross = arrays["model.decoder.layers.0.encoder_attn.v_proj.weight"]
    assert cross.tolist() == [[4, 5], [6, 7]]


def test_weights_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"no place: \['encoder/extra'\]"):
        whisper_arrays(one_layer(**{"encoder/extra": np.ones(1)}), layers=1)
    with pytest.raises(
        ValueError, match="lack the variable 'encoder/layer_1/self_attention/layer_norm/gamma'"
    ):
        whisper_arrays(one_layer(), layers=2)
    with pytest.raises(ValueError, match="not zero for the keys"):
        whisper_arrays(one_layer(**{"encoder/layer_0/self_attention/linear_0/bias": np.ones(6)}), layers=1)
    with pytest.raises(ValueError, match="found TransformerSpec"):
        whisper_arrays(Ct2Model("TransformerSpec", 3, {}, {}), layers=1)
