"""What a launch costs: CuPy, the bare driver call, a node of a replayed graph."""

from __future__ import annotations

from bench.probe import kernels
from bench.probe.facts import Clock, Facts
from bench.probe.gpu import Gpu
from bench.probe.stats import summary

# Few enough to stay below the depth of the launch queue, where the host would wait.
LAUNCHES = 500
NODES = 1000


def run(facts: Facts, clock: Clock, dry: bool) -> None:
    with facts.part("kernels without a device"):
        facts("kernels_sm_90", kernels.build("90"))
    if dry:
        return
    gpu = Gpu()
    kernel = gpu.kernels["nothing"]
    launch, function = gpu.cupy.cuda.driver.launchKernel, kernel.kernel.ptr

    def through_cupy() -> None:
        kernel((1,), (32,), ())

    def through_driver() -> None:
        launch(function, 1, 1, 1, 32, 1, 1, 0, gpu.main.ptr, 0, 0)

    def nodes() -> None:
        for _ in range(NODES):
            through_cupy()

    with gpu.main:
        through_cupy()
        host = {
            "cupy": summary([gpu.host_us(through_cupy, LAUNCHES) for _ in range(9)]),
            "driver": summary([gpu.host_us(through_driver, LAUNCHES) for _ in range(9)]),
        }
        eager = summary([ms * 1e3 / NODES for ms in gpu.device_ms(nodes, reps=5)])
    facts("host_us_per_launch", host)
    facts("eager_device_us_per_launch", eager)
    facts.say(
        f"launch on the host: CuPy {host['cupy']['median']:.2f} us, driver call "
        f"{host['driver']['median']:.2f} us; eager stream {eager['median']:.2f} us each"
    )
    with facts.part("graph"):
        graph = gpu.captured(nodes)
        graph.upload(gpu.main)
        times = gpu.device_ms(lambda: gpu.replay(graph), reps=20)
        node = summary([ms * 1e3 / NODES for ms in times])
        replay = summary([gpu.host_us(lambda: gpu.replay(graph), 5) for _ in range(5)])
        facts("graph_device_us_per_node", node)
        facts("graph_host_us_per_replay", replay)
        facts.say(f"graph of {NODES}: {node['median']:.3f} us a node")
