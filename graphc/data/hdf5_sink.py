"""Hdf5Sink: writes the arrays of one forward pass to an HDF5 file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from graphc.data.hdf5_file import h5py
from graphc.errors import fail
from graphc.files import write_file


class Hdf5Sink:
    """A file that holds the datasets of the last `write`; made in memory, put in place at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._h5py = h5py()

    def write(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Replace the file by one with these datasets, as float32. Raises GC-F002."""
        try:
            image = self._image(arrays)
        except Exception as error:  # h5py lets errors of many kinds through
            fail("GC-F002", f"{str(self.path)!r} cannot be made: {error}")
        write_file(self.path, image)

    def close(self) -> None:
        """Nothing stays open."""

    def _image(self, arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
        # HDF5 recovers badly from a full disk; so it writes to memory, and we write the bytes
        with self._h5py.File(self.path.name, "w", driver="core", backing_store=False) as file:
            for name, array in arrays.items():
                with np.errstate(over="ignore", invalid="ignore"):
                    file.create_dataset(name, data=array.astype(np.float32))
            file.flush()
            image: bytes = file.id.get_file_image()
        return image
