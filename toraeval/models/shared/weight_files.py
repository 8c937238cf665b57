"""State dicts on disk: one file or a folder of shards, safetensors or torch pickles, read tensor by tensor.

Names and shapes are compared with the network before any number is read; tensors then replace those of a network
built on the meta device one by one, so that memory holds the weights once. Torch pickles are only read with
`weights_only`: a file that holds anything but tensors and plain containers is refused, never executed.
"""

from __future__ import annotations

import json
import pickle
import re
import warnings
import zipfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from toraeval.assets import need_disk, require_numbers
from toraeval.store.sealed import atomic
from toraeval.types import MissingAsset, UserError, counted, one_line

Shape = tuple[int, ...]
SECTIONS = ("module", "ema", "state_dict")  # keys under which trainers nest a state dict
SAFETENSORS = (".safetensors",)
PICKLES = (".bin", ".pth", ".pt")
NAMED = 3  # keys named in a message; all are counted


class StateReader:
    """A state dict on disk whose tensors are read on demand.

    Args:
        path: a weight file, or a folder with one (`*.safetensors`, else `*.bin`, `*.pth`, `*.pt`) or with shards
            and their `*.index.json`.
        what: the model's name, for messages.
        cure: the command that gets the files, for messages.

    Attributes:
        shapes: shape of every tensor by name.
        path, what: as given.
        files: the weight files that were opened.

    Raises:
        MissingAsset: the path, its weights or some shards are absent.
        UserError: a file is damaged, holds Python code, or leaves open which weights are meant.
    """

    def __init__(self, path: Path | str, what: str, cure: str) -> None:
        self.path, self.what, self._cure = Path(path).expanduser(), what, cure
        index, self.files = self._find()
        self.shapes: dict[str, Shape] = {}
        self._readers: dict[str, Callable[[], Tensor]] = {}
        for file in self.files:
            self._open(file)
        if index is not None:
            absent = sorted(set(index) - set(self.shapes))
            if absent:
                raise self.damaged(
                    f"its index lists {counted(len(absent), 'tensor')} that no shard holds {absent[:NAMED]}"
                )

    def tensor(self, name: str) -> Tensor:
        """Return one tensor as stored, on the CPU.

        Raises:
            KeyError: no such tensor.
        """
        return self._readers[name]()

    def _find(self) -> tuple[Sequence[str] | None, tuple[Path, ...]]:
        if self.path.is_file():
            if self.path.name.endswith(".index.json"):
                return self._shards(self.path)
            return None, (self.path,)
        if not self.path.is_dir():
            raise MissingAsset(f"{self.what}: no weights at {self.path}; run: {self._cure}")
        for suffixes in (SAFETENSORS, PICKLES):
            inside = sorted(f for f in self.path.iterdir() if f.is_file())
            indices = [f for f in inside if f.name.endswith(tuple(f"{s}.index.json" for s in suffixes))]
            files = [f for f in inside if f.suffix in suffixes]
            found = indices or files
            if len(found) > 1:
                names = ", ".join(f.name for f in found)
                raise UserError(
                    f"{self.what}: {self.path} holds several weight files ({names}) and no index that joins them; "
                    "name the one you mean by its path"
                )
            if indices:
                return self._shards(indices[0])
            if files:
                return None, (files[0],)
        kinds = ", ".join(f"*{s}" for s in SAFETENSORS + PICKLES)
        raise MissingAsset(f"{self.what}: {self.path} holds no weights ({kinds}); run: {self._cure}")

    def _shards(self, index: Path) -> tuple[Sequence[str], tuple[Path, ...]]:
        try:
            weight_map = dict(json.loads(index.read_text())["weight_map"])
            names = sorted({str(name) for name in weight_map.values()})
        except (ValueError, KeyError, TypeError) as error:
            raise self.damaged(
                f"{index.name} is not an index of weight shards ({one_line(error)})"
            ) from error
        outside = [name for name in names if Path(name).name != name]
        if outside:
            raise self.damaged(f"{index.name} points outside its folder ({outside[:NAMED]})")
        absent = [name for name in names if not (index.parent / name).is_file()]
        if absent:
            raise MissingAsset(
                f"{self.what}: {index.parent} lacks {len(absent)} of {counted(len(names), 'weight shard')}: "
                f"{', '.join(absent)}; run: {self._cure}"
            )
        return list(weight_map), tuple(index.parent / name for name in names)

    def _open(self, file: Path) -> None:
        require_numbers([file], self.what, f"get it again: {self._cure}")
        opened = self._open_safetensors(file) if file.suffix in SAFETENSORS else self._open_pickle(file)
        for name, (shape, read) in opened.items():
            if name in self.shapes:
                raise self.damaged(f"tensor {name} stands in two shards, one of them {file.name}")
            self.shapes[name], self._readers[name] = shape, read

    def _open_safetensors(self, file: Path) -> dict[str, tuple[Shape, Callable[[], Tensor]]]:
        from safetensors import SafetensorError, safe_open

        try:
            handle = safe_open(str(file), "pt")
            return {
                name: (tuple(handle.get_slice(name).get_shape()), partial(handle.get_tensor, name))
                for name in handle.keys()  # noqa: SIM118, the handle is not a mapping
            }
        except (SafetensorError, OSError) as error:
            raise self.damaged(
                f"{file.name} is not a readable safetensors file ({one_line(error)})"
            ) from error

    def _open_pickle(self, file: Path) -> dict[str, tuple[Shape, Callable[[], Tensor]]]:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter(
                    "ignore", UserWarning
                )  # about pickle protocols; what cannot be read raises
                # Files of torch < 1.6 are not zip archives and cannot be mapped into memory.
                content = torch.load(
                    file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file)
                )
        except pickle.UnpicklingError as error:
            code = re.search(r"GLOBAL (\S+) was not an allowed", str(error))
            if code:
                raise UserError(
                    f"{self.what}: {file} holds Python code ({code[1]}) beside tensors; it is refused, because "
                    f"reading it could run that code. Use a safetensors file, or run: {self._cure}"
                ) from error
            raise self.damaged(f"{file.name} is not a torch file of tensors alone") from error
        except Exception as error:  # damage makes torch's reader fail in any way
            raise self.damaged(f"{file.name} is not a readable torch file ({one_line(error)})") from error
        state = self._nested(content, file)
        return {name: (tuple(value.shape), partial(state.__getitem__, name)) for name, value in state.items()}

    def _nested(self, content: Any, file: Path) -> dict[str, Tensor]:
        here = [
            key for key in SECTIONS if isinstance(content, Mapping) and isinstance(content.get(key), Mapping)
        ]
        if len(here) > 1:
            raise UserError(
                f"{self.what}: {file} holds several state dicts ({', '.join(here)}); save the one you mean alone"
            )
        if here:
            return self._nested(content[here[0]], file)
        if not isinstance(content, Mapping) or not all(isinstance(v, Tensor) for v in content.values()):
            raise self.damaged(
                f"{file.name} holds no state dict (tensors by name, alone or under {SECTIONS})"
            )
        return dict(content)

    def damaged(self, problem: str) -> UserError:
        """Return the error for files that have to be fetched again."""
        return UserError(f"{self.what}: {self.path}: {problem}; get it again: {self._cure}")


def key_difference(own: Mapping[str, Shape], found: Mapping[str, Shape], may_lack: Sequence[str] = ()) -> str:
    """Return how the names and shapes of a state dict differ from a network's, or an empty string.

    Args:
        own: shapes in the network.
        found: shapes in the file.
        may_lack: prefixes of names that the file need not hold.
    """
    missing = sorted(k for k in own.keys() - found.keys() if not k.startswith(tuple(may_lack)))
    extra = sorted(found.keys() - own.keys())
    wrong = sorted(k for k in own.keys() & found.keys() if tuple(own[k]) != tuple(found[k]))
    if not (missing or extra or wrong):
        return ""
    shapes = [f"{k} {list(found[k])} instead of {list(own[k])}" for k in wrong[:NAMED]]
    return (
        f"{counted(len(missing), 'key')} missing {missing[:NAMED]}, {len(extra)} unexpected {extra[:NAMED]}, "
        f"{len(wrong)} of another shape {shapes}"
    )


def fill(
    module: nn.Module,
    reader: StateReader,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    may_lack: Sequence[str] = (),
) -> nn.Module:
    """Put every tensor of a state dict into a network, strictly, and return the network.

    Args:
        module: usually built on the meta device.
        reader: the weights.
        device: where the weights go.
        dtype: type of floating-point weights afterwards.
        may_lack: prefixes of names that the file need not hold; such tensors keep their values.

    Raises:
        UserError: names or shapes differ, or a weight is not finite.
    """
    own = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    difference = key_difference(own, reader.shapes, may_lack)
    if difference:
        raise UserError(f"{reader.what}: {reader.path} does not fit this model: {difference}")
    for name in reader.shapes:
        value = reader.tensor(name)
        if value.is_floating_point():
            if not torch.isfinite(value).all():
                raise reader.damaged(f"tensor {name} holds NaN or infinite numbers")
            value = value.to(dtype)
        parent, _, leaf = name.rpartition(".")
        _assign(module.get_submodule(parent), leaf, value.to(device))
    if may_lack:
        module.to(device=device, dtype=dtype)
    return module


def _assign(owner: nn.Module, leaf: str, value: Tensor) -> None:
    old = owner._parameters.get(leaf)
    if old is None:
        setattr(owner, leaf, value)
    else:
        setattr(owner, leaf, nn.Parameter(value, requires_grad=old.requires_grad))


def read_safetensors(file: Path, what: str, cure: str) -> dict[str, Tensor]:
    """Return all tensors of one safetensors file.

    Raises:
        MissingAsset: no such file.
        UserError: it is damaged.
    """
    reader = StateReader(file, what, cure)
    return {name: reader.tensor(name) for name in reader.shapes}


def write_safetensors(
    file: Path, state: Mapping[str, Tensor], card: Mapping[str, Any], dtype: torch.dtype | None = None
) -> Path:
    """Write a state dict as one safetensors file, atomically, and return its path.

    Args:
        file: target; its folder is created.
        state: tensors by name.
        card: what the weights are, JSON-serialisable, stored in the file's header.
        dtype: type of the stored floating-point tensors, by default their own.

    Raises:
        UserError: the disk has no room for it.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    tensors = {
        name: value.detach().to("cpu", dtype if value.is_floating_point() else None).contiguous()
        for name, value in state.items()
    }
    needed = sum(t.numel() * t.element_size() for t in tensors.values())
    file.parent.mkdir(parents=True, exist_ok=True)
    need_disk(file.parent, needed, f"writing {file}")

    def write(temporary: Path) -> None:
        try:
            save_file(tensors, temporary, metadata={"card": json.dumps(dict(card)), "format": "pt"})
        except SafetensorError as error:
            raise OSError(one_line(error)) from error
        temporary.chmod(0o644)

    atomic(file, write)
    return file
