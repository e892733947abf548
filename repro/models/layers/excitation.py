"""Channel gates: IMRS's channel excitation, and squeeze-and-excitation, its comparison in IMRS and a part of T-STAM.

Both average a feature map x (B, C, T, H, W) to y (B, C), compute from y one gate in (0, 1) for each channel, and multiply
the channel by it. They have no residual path and no normalisation.

Sources: Hu, Mao, Yao, Bi 2023 (IMRS), sec. 3.2, Fig. 2; Wang et al. 2020 (ECA-Net) for the reading of CE;
Hu, Shen, Sun 2018 (SENet).
"""

import torch
from torch import Tensor, nn

from repro.errors import require


class ChannelExcitation(nn.Module):
    """The gate of a channel depends on the k channels around it, with the same k weights for all channels.

    y = mean of x over T, H, W;  gate = sigmoid(W_k y), eq. (1), with W_k the C x C band matrix of eq. (2): row i holds
    the weights of the k neighbours of channel i, eq. (3). All rows share them, eq. (4), so W_k y is a 1-D convolution over
    the channels, eq. (5), with k parameters, no bias, and zeros beyond the first and the last channel.

    The paper calls W_k "k x C" and draws the band starting at the diagonal; here, as in ECA-Net, it is centred.

    Parameters: channels C; kernel k, odd, at most C (the paper: 3). Raises ReproError for another kernel.
    Input and output (B, C, T, H, W).
    """

    def __init__(self, channels: int, kernel: int = 3):
        super().__init__()
        fits = kernel % 2 == 1 and 1 <= kernel <= channels
        require(fits, "channel excitation: kernel", kernel, f"odd, from 1 to its {channels} channels")
        self.conv = nn.Conv1d(1, 1, kernel, padding=kernel // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = x.mean(dim=(2, 3, 4))  # (B, C)
        gate = torch.sigmoid(self.conv(y[:, None]))  # (B, 1, C): the channels are the sequence
        return x * gate[:, 0, :, None, None, None]  # (B, C, 1, 1, 1) over (B, C, T, H, W)


class SqueezeExcitation(nn.Module):
    """The gate of a channel depends on all channels, through a bottleneck of C/r (Fig. 2A).

    y = mean of x over T, H, W;  gate = sigmoid(W_2 relu(W_1 y + b_1) + b_2), W_1 C -> C/r, W_2 C/r -> C.

    Parameters: channels C; reduction r, a divisor of C (16, as in SENet). Raises ReproError for another.
    Input and output (B, C, T, H, W), or frames (N, C, H, W), each of which has its own gates.
    """

    def __init__(self, channels: int, reduction: int = 16):
        super().__init__()
        divides = reduction >= 1 and channels % reduction == 0
        require(divides, "squeeze-and-excitation: reduction", reduction, f"a divisor of its {channels} channels")
        self.squeeze = nn.Linear(channels, channels // reduction)
        self.excite = nn.Linear(channels // reduction, channels)

    def forward(self, x: Tensor) -> Tensor:
        y = x.mean(dim=tuple(range(2, x.dim())))  # (B, C)
        gate = torch.sigmoid(self.excite(torch.relu(self.squeeze(y))))  # (B, C)
        return x * gate.view(*gate.shape, *[1] * (x.dim() - 2))  # (B, C, 1, 1, 1) over (B, C, T, H, W)
