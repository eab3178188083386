"""The CuPy that is installed, without a GPU: it has what is called, and says what it lacks."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from graphc.errors import GraphError
from graphc.runtime.cuda import CudaDevice

pytestmark = pytest.mark.skipif(find_spec("cupy") is None, reason="CuPy is not installed")
CALLED = {
    "cuda": "Event Graph Stream driver get_elapsed_time runtime using_allocator",
    "cuda.runtime": "CUDARuntimeError driverGetVersion free freeHost getDeviceCount "
    "getDeviceProperties hostAlloc malloc memGetInfo memcpyAsync memcpyDeviceToHost "
    "memcpyHostToDevice memsetAsync setDevice",
    "cuda.driver": "launchKernel moduleGetFunction moduleLoadData",
    "cuda.Stream": "begin_capture end_capture synchronize wait_event",
    "cuda.Stream.null": "ptr",
    "cuda.Event": "record synchronize",
    "cuda.Graph": "launch upload",
}


@pytest.mark.parametrize("place", CALLED)
def test_everything_that_is_called_is_there(place: str) -> None:
    found = pytest.importorskip("cupy")
    for name in place.split("."):
        found = getattr(found, name)
    assert [name for name in CALLED[place].split() if not hasattr(found, name)] == []


def test_without_a_driver_it_is_the_driver_that_is_missing() -> None:
    cupy = pytest.importorskip("cupy")
    if cupy.cuda.runtime.driverGetVersion():
        pytest.skip("there is a driver")
    with pytest.raises(GraphError, match="there is no NVIDIA driver") as caught:
        CudaDevice()
    assert (caught.value.code, caught.value.exit_code) == ("GC-X001", 6)


def test_cupys_errors_are_those_that_are_caught() -> None:
    cupy = pytest.importorskip("cupy")
    assert issubclass(cupy.cuda.runtime.CUDARuntimeError, RuntimeError)
    assert issubclass(cupy.cuda.driver.CUDADriverError, RuntimeError)
