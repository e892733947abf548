"""One module per paper: its tables as functions that return runs, its claims, and how we read what it leaves open."""

TITLES = {  # key of a paper: its name, and how to cite it
    "imrs": (
        "IMRS",
        'Hu, Mao, Yao, Bi 2023, "3D network with channel excitation and knowledge distillation for action recognition"',
    ),
    "tstam": (
        "T-STAM",
        'Shi, Li, Liu, Dai 2020, "T-STAM: an end-to-end action recognition model based on two-stream spatio-temporal '
        'attention mechanism"',
    ),
    "smnet": (
        "SMNet",
        'Yang, Lu, Zhou 2022, "A Spatio-Temporal Motion Network for Action Recognition Based on Spatial Attention"',
    ),
    "stme": ("STME", "the second model of the thesis behind IMRS"),
    "stmsa": ("STMSA", "the third model of the thesis behind IMRS"),
    "stddcn": (
        "STDDCN",
        'Hao, Zhang 2019, "Spatiotemporal distilled dense-connectivity network for video action recognition"',
    ),
    "": ("Across the papers", ""),
}
