"""What a result was made with."""

import pytest
import torch

from repro import machine

CPUINFO = "processor : 0\nmodel name : Some CPU @ 2 GHz\nflags : fpu avx512_bf16 avx512f amx_tile amx_bf16\n"


@pytest.mark.parametrize(
    ("text", "name", "extensions"),
    [
        (CPUINFO, "Some CPU @ 2 GHz", "amx_bf16 amx_tile avx512_bf16"),
        ("model name\t: Other\nflags\t: fpu\n", "Other", ""),
        ("Features : neon\n", None, ""),
    ],
)
def test_the_machine_is_described(tmp_path, monkeypatch, text, name, extensions):
    file = tmp_path / "cpuinfo"
    file.write_text(text)
    monkeypatch.setattr(machine, "CPUINFO", file)
    monkeypatch.setattr(machine.platform, "processor", lambda: "")
    monkeypatch.setattr(machine.platform, "machine", lambda: "arm64")
    found = machine.environment("cpu x1")["machine"]
    assert (found["processor"], found["extensions"]) == (name or "arm64", extensions)
    assert found["threads"] == torch.get_num_threads() >= 1
    assert found["instruction_set"] == torch.backends.cpu.get_cpu_capability()


def test_a_machine_in_words_says_what_an_old_record_lacks():
    whole = {"processor": "P", "instruction_set": "AVX2", "extensions": "", "threads": 2}
    assert machine.in_words({"machine": whole}) == "P (AVX2, 2 threads)"
    assert (
        machine.in_words({"machine": {**whole, "extensions": "amx_tile", "threads": 1}})
        == "P (AVX2 amx_tile, 1 thread)"
    )
    assert machine.in_words({"machine": {"processor": "P"}}) == "P (instruction set and threads not recorded)"
