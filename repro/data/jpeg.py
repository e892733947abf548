"""JPEGs of which a part can be decoded. This halves the time of a training clip, whose crop is 2/5 of the frame.

A JPEG is entropy-coded from its first block to its last, so a decoder has to read all of it. Restart markers (ITU-T
T.81, section E.1.4) divide it into cells that can be decoded alone. `encode` writes a marker after each cell. `decode`
gives the decoder a smaller JPEG: the header with the new size, and the cells around the crop with their markers
renumbered. The pixels are those of the whole image, to the last bit.
"""

import cv2
import numpy as np

from repro.data.compiled import cached

START_OF_FRAME, START_OF_SCAN, RESTART_INTERVAL, RESTART, END = 0xC0, 0xDA, 0xDD, 0xD0, 0xD9
BLOCK = {3: 16, 1: 8}  # pixels: colour is stored with half its resolution (4:2:0), so its blocks are larger
CELL = {3: 1, 1: 4}  # least blocks per cell; with one grey block per cell, markers would take a fifth of the file


def encode(image: np.ndarray, quality: int) -> bytes | None:
    """(H, W, 3) BGR or (H, W) grey, uint8, as a baseline JPEG in cells. None where OpenCV cannot write it."""
    channels = image.shape[2] if image.ndim == 3 else 1
    across = -(-image.shape[1] // BLOCK[channels])  # blocks per row
    cell = next((n for n in range(CELL[channels], across) if across % n == 0), across)
    parameters = (cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_RST_INTERVAL, cell)
    ok, data = cv2.imencode(".jpg", image, parameters)
    return data.tobytes() if ok else None


def decode(data: np.ndarray, flag: int, top: int, left: int, height: int, width: int) -> np.ndarray:
    """The `height` x `width` pixels from (top, left) of a JPEG that `encode` wrote, its bytes an array of uint8.

    flag: of `cv2.imdecode`, which decides the order of the channels. Pixels outside the image are not asked for.
    """
    size_at, cell, start = _header(data)
    rows, columns = int.from_bytes(data[size_at : size_at + 2]), int.from_bytes(data[size_at + 2 : size_at + 4])
    block = BLOCK[int(data[size_at + 4])]
    wide = block * cell  # pixels across a cell
    # a pixel more on each side: colour is interpolated between blocks, but not in images of less than five columns
    first, last = max(top - 1, 0) // block, min(top + height, rows - 1) // block
    begin, end = max(min(left - 1, columns - 5), 0) // wide, min(left + width, columns - 1) // wide
    shape = min((last + 1) * block, rows) - first * block, min((end + 1) * wide, columns) - begin * wide
    part = np.empty(len(data), np.uint8)
    length = _cut(data, start, -(-columns // wide), first, last, begin, end, part)
    part[size_at : size_at + 4] = np.array(shape, ">u2").view(np.uint8)
    image = cv2.imdecode(part[:length], flag)
    top, left = top - first * block, left - begin * wide
    return image[top : top + height, left : left + width]


def _header(data: np.ndarray) -> tuple[int, int, int]:
    """Position of height and width, number of blocks per cell, and position of the first cell."""
    at, size_at, cell = 2, 0, 0
    while True:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4])
        if marker == START_OF_FRAME:
            size_at = at + 5
        elif marker == RESTART_INTERVAL:
            cell = int.from_bytes(data[at + 4 : at + 6])
        at += 2 + length
        if marker == START_OF_SCAN:
            return size_at, cell, at


@cached
def _cut(data, start, across, first, last, begin, end, out):  # pragma: no cover - compiled
    """Copies the header and the cells of rows first..last and columns begin..end to `out`; returns its length."""
    out[:start] = data[:start]
    at, row, column, markers = start, 0, 0, 0
    i = start
    while row <= last and i < len(data) - 2:  # the image's last two bytes say that it ends
        wanted = first <= row and begin <= column <= end
        if data[i] == 0xFF and RESTART <= data[i + 1] < RESTART + 8:
            if wanted:
                out[at], out[at + 1] = 0xFF, RESTART + markers % 8
                at, markers = at + 2, markers + 1
            i, column = i + 2, column + 1
            if column == across:
                row, column = row + 1, 0
        else:
            if wanted:
                out[at] = data[i]
                at += 1
            i += 1
    if out[at - 2] == 0xFF and RESTART <= out[at - 1] < RESTART + 8:  # no marker before the end
        at -= 2
    out[at], out[at + 1] = 0xFF, END
    return at + 2
