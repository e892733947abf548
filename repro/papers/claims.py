"""What the papers claim in a sentence, as data. `repro.evidence.claims` turns each claim into a verdict.

A claim is pairs of rows of one table, (better, worse). A new claim is one more literal in `CLAIMS`.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

from repro.evidence.tables import Table
from repro.papers import imrs, smnet, stddcn, stme, stmsa, tstam
from repro.parameters import Parameters

Pairs = tuple[tuple[str, str], ...]


def beats(better: str, *worse: str) -> Pairs:
    """One row is better than each of the others."""
    return tuple((better, each) for each in worse)


def each_beats(worse: str, *better: str) -> Pairs:
    """Each of several rows is better than the one."""
    return tuple((each, worse) for each in better)


def ladder(*labels: str) -> Pairs:
    """Each row is better than the one before it."""
    return tuple((upper, lower) for lower, upper in itertools.pairwise(labels))


@dataclass(frozen=True)
class Claim:
    """A sentence of a paper in plain words, where it stands, and the rows (better, worse) of a table that test it.

    source: where it stands; "implied" where no sentence says it outright. table: the function that plans the rows' runs. The
    published difference is read from the table's numbers.
    """

    statement: str
    paper: str
    source: str
    table: Callable[[Parameters], Table]
    pairs: Pairs


CLAIMS = (
    Claim("Channel excitation after all four stages is better than after any one.", "IMRS", "section 4.3.1, Table 2",
          imrs.table2, beats("Res2-Res5", "Res2", "Res3", "Res4", "Res5")),
    Claim("Channel excitation makes the 3D network better.", "IMRS", "abstract; Table 3", imrs.table3, beats("CE", "plain")),
    Claim("Squeeze-and-excitation makes the 3D network better.", "IMRS", "Table 3", imrs.table3, beats("SE", "plain")),
    Claim("Channel excitation is better than squeeze-and-excitation.", "IMRS", "abstract; section 4.3.1, Table 3",
          imrs.table3, beats("CE", "SE")),
    Claim("The flow stream is better than the RGB stream.", "IMRS", "section 4.4, Figure 4",
          imrs.streams, beats("Flow", "RGB")),
    Claim("The student is better than the RGB stream, which sees as much at test.", "IMRS", "abstract; section 4.4",
          imrs.streams, beats("IMRS", "RGB")),
    Claim("The student is better than the flow stream, its teacher.", "IMRS", "abstract; section 4.4",
          imrs.streams, beats("IMRS", "Flow")),
    Claim("The student, without flow at test, keeps up with two streams (tested as: is better).", "IMRS", "section 1",
          imrs.streams, beats("IMRS", "RGB+Flow")),
    Claim("(50, 200) are better weights of the distillation terms than the other pairs.", "IMRS", "section 4.3.2, Table 4",
          imrs.table4, beats("(50, 200)", "(1, 1)", "(10, 10)", "(50, 50)", "(50, 100)", "(50, 300)")),
    Claim("Both distillation terms are better than the first alone.", "IMRS", "section 3.3, implied",
          imrs.table4, beats("(50, 200)", "(50, 0)")),
    Claim("IMRS is better than MARS.", "IMRS", "Tables 4 and 5, split 1; section 4.5 has +1.2, a mean of splits over split 1",
          imrs.table4, beats("(50, 200)", "MARS")),
    Claim("Six segments are better than three, four or five.", "T-STAM", "section 4.3.1, Figure 6",
           tstam.segments, beats("6 segments", "3 segments", "4 segments", "5 segments")),
    Claim("Each further segment, up to six, makes it better.", "T-STAM", "section 4.3.1, Figure 6",
           tstam.segments, ladder("3 segments", "4 segments", "5 segments", "6 segments")),
    Claim("Four spatial attention heads are better than one, two, three or five.", "T-STAM", "section 4.3.2, Figure 7",
           tstam.attention_heads, beats("l = 4", "l = 1", "l = 2", "l = 3", "l = 5")),
    Claim("Each further head, up to four, makes it better.", "T-STAM", "section 4.3.2, Figure 7",
           tstam.attention_heads, ladder("l = 1", "l = 2", "l = 3", "l = 4")),
    Claim("The flow stream is better than the appearance stream.", "T-STAM", "section 4.3.3",
           tstam.fusion_weights, beats("0 : 1", "1 : 0")),
    Claim("Both streams fused are better than either alone.", "T-STAM", "section 4.3.3",
           tstam.fusion_weights, beats("1 : 3", "1 : 0", "0 : 1")),
    Claim("1 : 3 (RGB : flow) are better weights of the two streams than the others.", "T-STAM", "section 4.3.3",
           tstam.fusion_weights, beats("1 : 3", "3 : 1", "2 : 1", "1 : 1", "1 : 2", "1 : 4")),
    Claim("Squeeze-and-excitation makes TSN better.", "T-STAM", "section 4.3.4",
           tstam.channel_attention, beats("TSN+SE", "TSN")),
    Claim("Spatio-temporal attention makes TSN better.", "T-STAM", "section 4.3.5, implied",
           tstam.systems, beats("T-STAM without SE", "TSN")),
    Claim("Squeeze-and-excitation makes T-STAM better.", "T-STAM", "section 4.3.5",
           tstam.systems, beats("T-STAM", "T-STAM without SE")),
    Claim("T-STAM is better than TSN.", "T-STAM", "section 4.3.5", tstam.systems, beats("T-STAM", "TSN")),
    Claim("Spatio-temporal and motion excitation each make TSN better.", "SMNet", "abstract, implied",
          smnet.ablation, each_beats("TSN", "STE alone", "ME alone")),
    Claim("Both excitations together are better than either alone, and than TSN.", "SMNet", "abstract, implied",
          smnet.ablation, beats("SMNet", "STE alone", "ME alone", "TSN")),
    Claim("Modules in all four stages are better than in two.", "SMNet", "a caption speaks of four modules, implied",
          smnet.ablation, beats("SMNet", "SMNet, Res2-Res3", "SMNet, Res4-Res5")),
    Claim("Dense connections and distillation each make two streams better.", "STDDCN", "abstract, implied",
          stddcn.ablation, each_beats("two streams", "dense connections", "distillation")),
    Claim("Both together are better than either alone, and than two streams.", "STDDCN", "abstract, implied", stddcn.ablation,
          beats("STDDCN (dense, two-way, distilled)", "dense connections", "distillation", "two streams")),
    Claim("STME is better than TSM, which it builds on, and than TSN.", "STME", "thesis, abstract, implied",
          stme.ablation, beats("+ enhancement (STME)", "shift (TSM)", "TSN")),
    Claim("Shift, both excitations and enhancement each add to what is there.", "STME", "thesis, abstract, implied; our order",
          stme.ablation, ladder("TSN", "shift (TSM)", "+ STE", "+ ME", "+ enhancement (STME)")),
    Claim("Multi-scale convolution and self-attention each make TSN better.", "STMSA", "thesis, abstract, implied",
          stmsa.ablation, each_beats("TSN", "multi-scale alone", "self-attention alone")),
    Claim("Both together are better than either alone, and than TSN.", "STMSA", "thesis, abstract, implied",
          stmsa.ablation, beats("STMSA (both, 4 groups)", "multi-scale alone", "self-attention alone", "TSN")),
)  # fmt: skip
