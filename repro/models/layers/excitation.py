"""Channel gates: IMRS's channel excitation, and squeeze-and-excitation, which it is held against and which T-STAM uses.

Both squeeze a feature map x (B, C, T, H, W) to y (B, C), its mean over T, H and W, turn y into one gate a channel in
(0, 1), and multiply. They have no residual path and no normalisation.

Sources: Hu, Mao, Yao, Bi 2023 (IMRS), sec. 3.2, Fig. 2; Wang et al. 2020 (ECA-Net) for the reading of CE;
Hu, Shen, Sun 2018 (SENet).
"""

import torch
from torch import Tensor, nn

from repro.errors import ReproError


class ChannelExcitation(nn.Module):
    """Each channel's gate looks at the k channels around it, with one set of k weights for all channels.

    y = mean of x over T, H, W;  gate = sigmoid(W_k y), eq. (1), with W_k the C x C band matrix of eq. (2): row i holds
    the weights of the k neighbours of channel i, eq. (3); the rows share them, eq. (4); so W_k y is a 1-D convolution
    over the channels, eq. (5), with k parameters, no bias, and zeros beyond the first and the last channel.

    The paper calls W_k "k x C" and draws the band starting at the diagonal; here, as in ECA-Net, it is centred.

    Parameters: channels C; kernel k, odd, at most C (the paper: 3). Errors: ReproError for another kernel.
    Input and output (B, C, T, H, W).
    """

    def __init__(self, channels: int, kernel: int = 3):
        super().__init__()
        if kernel < 1 or kernel % 2 == 0 or kernel > channels:
            raise ReproError(f"channel excitation: kernel is {kernel}, but must be odd, from 1 to {channels} channels")
        self.conv = nn.Conv1d(1, 1, kernel, padding=kernel // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = x.mean(dim=(2, 3, 4))  # (B, C)
        gate = torch.sigmoid(self.conv(y[:, None]))  # (B, 1, C): the channels are the sequence
        return x * gate[:, 0, :, None, None, None]  # (B, C, 1, 1, 1) over (B, C, T, H, W)


class SqueezeExcitation(nn.Module):
    """Each channel's gate looks at all channels, through a bottleneck of C/r (Fig. 2A).

    y = mean of x over T, H, W;  gate = sigmoid(W_2 relu(W_1 y + b_1) + b_2), W_1 C -> C/r, W_2 C/r -> C.

    Parameters: channels C; reduction r, which must divide C (16, as in SENet); ReproError for another.
    Input and output (B, C, T, H, W); or frames (N, C, H, W), each with gates of its own.
    """

    def __init__(self, channels: int, reduction: int = 16):
        super().__init__()
        if reduction < 1 or channels % reduction:
            raise ReproError(f"squeeze-and-excitation: reduction is {reduction}, but must divide {channels} channels")
        self.squeeze = nn.Linear(channels, channels // reduction)
        self.excite = nn.Linear(channels // reduction, channels)

    def forward(self, x: Tensor) -> Tensor:
        y = x.mean(dim=tuple(range(2, x.dim())))  # (B, C)
        gate = torch.sigmoid(self.excite(torch.relu(self.squeeze(y))))  # (B, C)
        return x * gate.view(*gate.shape, *[1] * (x.dim() - 2))  # (B, C, 1, 1, 1) over (B, C, T, H, W)
