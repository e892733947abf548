"""Decoding: generated files whose frames carry their number, and the real clips, good and bad."""

import errno
import itertools
import os

import cv2
import numpy as np
import pytest

from repro.data import video
from repro.errors import ReproError

BAD = {
    "corrupted.mp4": "28 frames (the container says 50)",
    "av1_video.mkv": "0 frames decode (the container says 125)",
}


def write(path, count, size=(64, 48), fourcc="MJPG"):
    """Frame i is a grey of 8 i, its left half in pure red so that the order of channels shows."""
    movie = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*fourcc), 10, size)
    for i in range(count):
        frame = np.full((size[1], size[0], 3), 8 * i, np.uint8)
        frame[:, : size[0] // 2] = (0, 0, 255)  # BGR
        movie.write(frame)
    movie.release()
    return path


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write(tmp_path_factory.mktemp("video") / "Chanta![_x_]%d a.avi", 25)


def read(path):
    return np.stack(list(video.frames(path)))


def levels(frames):
    return np.round(frames[:, :, 48:].mean(axis=(1, 2, 3)) / 8).astype(int).tolist()


def test_reads_every_frame_in_order_as_rgb(clip):
    frames = read(clip)
    assert frames.shape == (25, 48, 64, 3)
    assert frames.dtype == np.uint8
    assert levels(frames) == list(range(25))
    assert (frames[:, :, :20, 0] > 220).all()
    assert (frames[:, :, :20, 1:] < 40).all()
    np.testing.assert_array_equal(read(str(clip)), frames)


@pytest.mark.parametrize("fourcc", ["mp4v", "XVID"])
def test_numbering_holds_with_frames_between_key_frames(tmp_path, fourcc):
    path = write(tmp_path / ("a.mp4" if fourcc == "mp4v" else "a.avi"), 25, fourcc=fourcc)
    assert levels(read(path)) == list(range(25))


def test_what_is_no_video_is_an_error_and_quiet(tmp_path, capfd):
    text, empty, none = tmp_path / "text.avi", tmp_path / "empty.avi", tmp_path / "none.avi"
    text.write_text("not a video")
    empty.touch()
    write(none, 0)
    for path, message in {text: "not a video", empty: "0 bytes", none: "0 frames decode"}.items():
        with pytest.raises(ReproError, match=message) as error:
            read(path)
        assert str(path) in str(error.value)
    for path in (tmp_path / "absent.avi", tmp_path):
        with pytest.raises(ReproError, match="no such video file"):
            next(video.frames(path))
    assert capfd.readouterr().err == ""


def test_a_pointer_of_git_lfs_says_what_it_is(tmp_path):
    text = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
    (tmp_path / "clip").mkdir()
    for path in (tmp_path / "a.avi", tmp_path / "clip" / "00001.jpg"):
        path.write_text(text)
        with pytest.raises(ReproError, match=rf"{path}: a pointer of Git LFS, .*; run `git lfs pull`"):
            read(path if path.suffix == ".avi" else path.parent)


def test_a_name_that_is_not_utf8_is_refused_before_any_decoder_sees_it(clip, tmp_path):
    """OpenCV ends the process."""
    (tmp_path / "plain").mkdir()
    for place in (tmp_path / os.fsdecode(b"caf\xe9.avi"), tmp_path / os.fsdecode(b"d\xe9r") / "a.avi"):
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(clip.read_bytes())
        with pytest.raises(ReproError, match=r"^b'.*\\xe9.*': not UTF-8, which OpenCV needs; rename") as error:
            read(place)
        str(error.value).encode()  # can be printed


@pytest.mark.parametrize(
    "name", ["concat:a.avi|b.avi", "http:x.avi", "a\nb.avi", "%03d.avi", "走る 🏃.avi", "a" * 251 + ".avi"]
)
def test_any_other_name_is_the_name_of_a_file(clip, tmp_path, name, monkeypatch):
    (tmp_path / name).write_bytes(clip.read_bytes())
    monkeypatch.chdir(tmp_path)
    assert len(read(name)) == 25


def test_a_file_that_the_system_refuses_is_named(clip, tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(video, "is_lfs_pointer", refuse)
    with pytest.raises(
        ReproError, match=r"cannot be read \(Permission denied\); put the file back, make it readable, or"
    ) as error:
        read(clip)
    assert str(clip) in str(error.value)


@pytest.mark.parametrize(("kept", "whole"), [(1.0, True), (0.93, True), (0.85, False), (0.7, False)])
def test_a_file_cut_short_is_an_error(clip, tmp_path, kept, whole):
    path, data = tmp_path / "cut.avi", clip.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    if whole:
        assert 23 <= len(read(path)) <= 25
    else:
        with pytest.raises(ReproError, match=r"cut.avi: decoding stops after \d+ frames \(the container says 25\)"):
            read(path)


@pytest.mark.parametrize(
    ("count", "said", "broken", "passes"),
    [
        (50, 50, False, True),
        (51, 50, False, True),
        (48, 50, False, True),  # two packets without a picture
        (47, 50, False, False),
        (190, 200, False, True),  # 5 %
        (189, 200, False, False),
        (49, 50, True, False),  # frames follow the one that failed
        (5, -1, False, True),  # the container knows no count
        (0, -1, False, False),
    ],
)
def test_tolerance(count, said, broken, passes):
    if passes:
        video._check_end("x.avi", count, said, broken)
    else:
        with pytest.raises(ReproError, match=rf"x.avi: .*{count} frames"):
            video._check_end("x.avi", count, said, broken)


def test_a_failure_before_the_end_is_an_error_however_late(monkeypatch):
    class Capture:
        grabbed = iter([True] * 99 + [False] + [True] * 9)  # one frame of 100 fails, which the tolerance would pass

        def grab(self):
            return next(self.grabbed)

        def retrieve(self):
            return True, np.zeros((4, 4, 3), np.uint8)

        def get(self, _):
            return 100.0

        def release(self):
            pass

    monkeypatch.setattr(video, "_open", lambda path: Capture())
    with pytest.raises(ReproError, match=r"x.avi: decoding stops after 99 frames \(the container says 100\)"):
        read("x.avi")


def test_frames_share_one_shape_where_the_stream_changes_size(tmp_path):
    images = [np.full((*size, 3), 100, np.uint8) for size in [(48, 64)] * 3 + [(64, 96)] * 2]
    path = tmp_path / "x.mjpeg"
    path.write_bytes(b"".join(cv2.imencode(".jpg", image)[1].tobytes() for image in images))
    assert read(path).shape == (5, 48, 64, 3)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("video_90.mov", (3, 568, 320, 3)),  # stored as 320 x 568, height x width, with a rotation flag of 90 degrees
        ("unordered.mov", (4, 50, 50, 3)),
        ("h264_10bits.mp4", (30, 200, 200, 3)),
        ("h265_video.mp4", (10, 128, 128, 3)),
    ],
)
def test_edge_cases_decode(real_data, name, shape):
    assert read(real_data / "edge_cases" / name).shape == shape


def test_rotation_is_honoured(real_data):
    path = real_data / "edge_cases" / "video_90.mov"
    raw = cv2.VideoCapture(str(path))
    raw.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0)
    stored = cv2.cvtColor(raw.read()[1], cv2.COLOR_BGR2RGB)
    assert stored.shape == (320, 568, 3)
    np.testing.assert_array_equal(read(path)[0], np.rot90(stored, -1))  # clockwise


@pytest.mark.parametrize("name", BAD)
def test_edge_cases_that_do_not_decode(real_data, name, capfd):
    with pytest.raises(ReproError) as error:
        read(real_data / "edge_cases" / name)
    assert name in str(error.value)
    assert BAD[name] in str(error.value)
    assert capfd.readouterr().err == ""


def test_the_good_frames_of_a_broken_file_can_be_read(real_data):
    first = itertools.islice(video.frames(real_data / "edge_cases" / "corrupted.mp4"), 28)
    assert [frame.shape for frame in first] == [(720, 1280, 3)] * 28


@pytest.mark.slow
def test_real_clips_decode(real_data):
    paths = [
        p
        for d in ("ucf101/UCF-101", "hmdb51/hmdb51_org", "kinetics400/videos", "something_v2/videos")
        for p in (real_data / d).rglob("*")
        if p.suffix in (".avi", ".mp4", ".webm")
    ]
    counts = {p.stem: sum(1 for _ in video.frames(p)) for p in paths}
    assert len(counts) == 12
    assert counts["v_Basketball_g01_c01"] == 141
    assert counts["RATRACE_wave_f_nm_np1_fr_goo_37"] == 72  # the container says 73
    assert counts["1"] == 53  # WebM, the container's duration gives 54


@pytest.mark.slow
@pytest.mark.parametrize("name", ["weizmann", "ut_interaction"])
def test_small_real_sets_decode(real_data, name):
    paths = sorted((real_data / name).rglob("*.avi"))
    assert len(paths) == 60
    for path in paths:
        assert sum(1 for _ in video.frames(path)) > 20


# Frame folders


def write_folder(path, count, first=1, suffix=".jpg"):
    """Frame i, from 0, is a grey of 8 i, its left half in pure red."""
    path.mkdir(parents=True)
    for i in range(count):
        frame = np.full((48, 64, 3), 8 * i, np.uint8)
        frame[:, :32] = (0, 0, 255)  # BGR
        cv2.imwrite(str(path / f"{first + i:05d}{suffix}"), frame)
    return path


@pytest.mark.parametrize(("first", "suffix"), [(1, ".jpg"), (0, ".JPG"), (1, ".jpeg"), (1, ".png")])
def test_a_frame_folder_is_a_video(tmp_path, first, suffix):
    path = write_folder(tmp_path / "6106", 12, first, suffix)
    (path / ".DS_Store").touch()
    frames = read(path)
    assert frames.shape == (12, 48, 64, 3)
    assert levels(frames) == list(range(12))
    assert (frames[:, :, :20, 0] > 220).all()
    assert (frames[:, :, :20, 1:] < 40).all()
    np.testing.assert_array_equal(read(str(path)), frames)


def test_frames_are_in_the_order_of_numbers_not_of_names(tmp_path):
    path = write_folder(tmp_path / "a", 12)
    for i in range(1, 13):
        (path / f"{i:05d}.jpg").rename(path / f"{i}.jpg")
    assert levels(read(path)) == list(range(12))


def cut(file):
    file.write_bytes(file.read_bytes()[:-30])


def resize(file):
    cv2.imwrite(str(file), np.zeros((48, 60, 3), np.uint8))


def lead_nowhere(file):
    file.unlink()
    file.symlink_to("nowhere.jpg")


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda file: file.unlink(), "00004.jpg: expected frame 3 here; a frame is missing, or there are two of it"),
        (lambda file: file.with_name("3.jpg").touch(), "0*3.jpg: expected frame 4 here"),
        (lambda file: (file.parent / "00001.jpg").unlink(), "00002.jpg: expected frame 1 here"),
        (lambda file: file.with_name("flow_x_00003.jpg").touch(), "flow_x_00003.jpg: not a numbered image"),
        (lambda file: file.with_name("00003.txt").touch(), "00003.txt: not a numbered image"),
        (lambda file: file.write_bytes(b""), r"00003.jpg: not an image that OpenCV can decode \(0 bytes\)"),
        (lambda file: file.write_bytes(b"no image"), r"00003.jpg: not an image that OpenCV can decode \(8 bytes\)"),
        (cut, "00003.jpg: not an image that OpenCV can decode"),
        (resize, "00003.jpg: the images of a clip have one size, but these are 60x48 and 64x48"),
        (lead_nowhere, "00003.jpg: cannot be read"),
    ],
)
def test_a_frame_folder_that_is_damaged(tmp_path, harm, message):
    path = write_folder(tmp_path / "6106", 5)
    harm(path / "00003.jpg")
    with pytest.raises(ReproError, match=f"6106/{message}"):
        read(path)


def test_an_empty_folder_is_no_video(tmp_path):
    with pytest.raises(ReproError, match="no such video file, but a folder without numbered images"):
        next(video.frames(tmp_path))


@pytest.mark.parametrize(("name", "shape"), [("6106", (41, 100, 150, 3)), ("79255", (55, 100, 180, 3))])
def test_real_frame_folders(real_data, name, shape):
    path = real_data / "something_v1" / "frames" / name
    frames = read(path)
    assert frames.shape == shape
    np.testing.assert_array_equal(frames[6], cv2.imread(str(path / "00007.jpg"))[..., ::-1])
