"""Files like those that once went wrong: damage that no decoder reports, and a path file named after one clip."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from toraeval.inputs import own_paths
from toraeval.inputs.pairing import named_in
from toraeval.trajectories import load
from toraeval.types import UserError
from toraeval.video import measure_video, read_video


def encoded(path: Path, codec: str, rate: int) -> bytes:
    noise = np.random.default_rng(0).integers(0, 255, (16, 64, 96, 3), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for picture in noise:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path.read_bytes()


@pytest.mark.parametrize(("name", "codec", "rate"), [("a.ts", "mpeg2video", 25), ("a.mxf", "mpeg2video", 25)])
def test_packets_lost_in_the_middle_are_damage(tmp_path: Path, name: str, codec: str, rate: int) -> None:
    path = tmp_path / name
    data = bytearray(encoded(path, codec, rate))
    assert measure_video(path).frames == 16
    start, end = int(len(data) * 0.5), int(len(data) * 0.7)
    data[start:end] = bytes(end - start)
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"damaged|cut off"):
        measure_video(path)


@pytest.mark.parametrize("name", ["cat_traj", "Cat-path", "my cat"])
def test_a_path_file_named_after_one_clip_does_not_serve_the_others(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"{name}.npy"
    np.save(path, np.zeros((1, 6, 2)))
    with pytest.raises(UserError, match=r"the clip cat, of 2 clips.*all:"):
        own_paths.match(["cat", "dog"], str(path))
    assert set(own_paths.match(["cat", "dog"], f"all:{path}").pairs) == {"cat", "dog"}
    assert named_in("category", ["cat"]) == []


def test_fractions_of_a_path_that_leaves_the_frame_are_fractions(tmp_path: Path) -> None:
    track = np.stack([np.linspace(0.1, 1.6, 24), np.full(24, 0.5)], axis=-1)
    np.save(tmp_path / "a.npy", track[None])
    with pytest.raises(UserError, match="look like fractions of the frame"):
        load(tmp_path / "a.npy", (64, 64))
    np.save(tmp_path / "b.npy", np.stack([np.linspace(1, 9, 24), np.full(24, 1.0)], axis=-1)[None])
    assert load(tmp_path / "b.npy", (64, 64)).num_frames == 24


def test_a_stream_that_states_no_length_is_said_to_state_none(tmp_path: Path, data_dir: Path) -> None:
    source = Path(data_dir / "faults" / "video" / "h264_420_crf0.mp4")
    with av.open(str(source)) as given, av.open(str(tmp_path / "a.ts"), "w", format="mpegts") as made:
        stream = made.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(given.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                made.mux(packet)
    video = read_video(tmp_path / "a.ts")
    assert video.num_frames == 16
    assert any("mpegts states no length" in note for note in video.info["reading"])
