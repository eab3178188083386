#include "bind_core.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bind_values.h"
#include "core/kernel.h"
#include "core/memory.h"
#include "core/running.h"
#include "dnnl/provider.h"
#include "error.h"

namespace py = pybind11;

namespace {

using graphc::Error;

// One kernel on arrays of the caller's, as tests use it. The workspace starts out full of NaN.
class LooseKernel {
  public:
    LooseKernel(const std::string& symbol, graphc::Problem problem, int threads)
        : symbol_(symbol), problem_(std::move(problem)) {
        make(threads);
    }

    std::size_t workspace() const { return kernel_->workspace(); }
    std::size_t packed() const { return kernel_->packed(); }

    void run(const std::vector<py::array>& reads, const std::vector<py::array>& writes, int threads,
             std::uint64_t seed, std::uint32_t step) {
        const graphc::Running running(running_, "kernel");
        if (threads != problem_.threads) make(threads);
        const Addresses at = addresses(reads, writes);
        const graphc::Pages workspace(kernel_->workspace());
        const py::gil_scoped_release unlocked;
        if (workspace.size() > 0) std::memset(workspace.data(), 0xff, workspace.size());
        run_once(at, workspace, seed, step);
    }

    // Microseconds of the fastest of at least `least` runs, as many as fit `seconds`. No cache
    // holds the reads `cold` when a run starts.
    double time(const std::vector<py::array>& reads, const std::vector<py::array>& writes,
                int least, double seconds, const std::vector<std::size_t>& cold) {
        using Clock = std::chrono::steady_clock;
        const graphc::Running running(running_, "kernel");
        const Addresses at = addresses(reads, writes);
        std::vector<std::size_t> bytes;
        for (const std::size_t i : cold) {
            if (i >= reads.size()) {
                throw Error("GC-R001", "there is no read operand " + std::to_string(i));
            }
            const graphc::Spec& spec = problem_.reads[i];
            bytes.push_back(std::size_t(spec.size()) * graphc::item_size(spec.dtype));
        }
        const graphc::Pages workspace(kernel_->workspace());
        const py::gil_scoped_release unlocked;
        run_once(at, workspace, 0, 0);  // touches memory first
        double best = std::numeric_limits<double>::infinity(), spent = 0;
        for (int i = 0; i < least || spent < 1e6 * seconds; ++i) {
            for (std::size_t k = 0; k < cold.size(); ++k) {
                graphc::evict(at.sources[cold[k]], bytes[k]);
            }
            const Clock::time_point start = Clock::now();
            run_once(at, workspace, 0, 0);
            const std::chrono::duration<double, std::micro> passed = Clock::now() - start;
            best = std::min(best, passed.count());
            spent += passed.count();
        }
        return best;
    }

  private:
    struct Addresses {
        std::vector<const char*> sources;
        std::vector<char*> targets;
    };

    Addresses addresses(const std::vector<py::array>& reads,
                        const std::vector<py::array>& writes) const {
        Addresses at;
        check_count(reads.size(), problem_.reads.size(), "reads");
        check_count(writes.size(), problem_.writes.size(), "writes");
        for (std::size_t i = 0; i < reads.size(); ++i) {
            at.sources.push_back(graphc::address_of(reads[i], problem_.reads[i], false,
                                                    "read operand " + std::to_string(i)));
        }
        for (std::size_t i = 0; i < writes.size(); ++i) {
            at.targets.push_back(graphc::address_of(writes[i], problem_.writes[i], true,
                                                    "written operand " + std::to_string(i)));
        }
        return at;
    }

    void run_once(const Addresses& at, const graphc::Pages& workspace, std::uint64_t seed,
                  std::uint32_t step) const {
        graphc::Fault fault;
        kernel_->run({at.sources.data(), at.targets.data(), workspace.data(), problem_.threads,
                      &fault, seed, step});
        if (fault.code) throw Error(fault.code, fault.message, fault.hint);
    }

    void make(int threads) {
        if (threads < 1 || threads > 1024) {
            throw Error("GC-R004", std::to_string(threads) + " threads; 1 to 1024 are possible");
        }
        problem_.threads = threads;
        kernel_ = graphc::find_kernel(symbol_)(problem_);
    }

    static void check_count(std::size_t given, std::size_t needed, const char* what) {
        if (given != needed) {
            throw Error("GC-R001", std::to_string(given) + " arrays given, the kernel " + what +
                                       " " + std::to_string(needed));
        }
    }

    std::string symbol_;
    graphc::Problem problem_;
    std::unique_ptr<graphc::Kernel> kernel_;
    std::atomic<bool> running_{false};
};

std::vector<std::string> usable_symbols() {
    std::vector<std::string> names = graphc::kernel_symbols();
    if (graphc::onednn::channel_block() > 0) return names;
    const auto is_missing = [](const std::string& name) { return name.rfind("dnnl_", 0) == 0; };
    names.erase(std::remove_if(names.begin(), names.end(), is_missing), names.end());
    return names;
}

}  // namespace

void bind_core(py::module_& m) {
    m.def("kernel_symbols", &usable_symbols);
    m.def("onednn_version", &graphc::onednn::version);
    m.def("channel_block", &graphc::onednn::channel_block);
    py::class_<LooseKernel>(m, "Kernel")
        .def_property_readonly("workspace", &LooseKernel::workspace)
        .def_property_readonly("packed", &LooseKernel::packed)
        .def("run", &LooseKernel::run, py::arg("reads"), py::arg("writes"), py::arg("threads") = 1,
             py::arg("seed") = 0, py::arg("step") = 0)
        .def("time", &LooseKernel::time, py::arg("reads"), py::arg("writes"), py::arg("least"),
             py::arg("seconds"), py::arg("cold") = std::vector<std::size_t>());
    m.def(
        "make_kernel",
        [](const std::string& symbol, const py::sequence& reads, const py::sequence& writes,
           const py::dict& attrs, int threads) {
            return std::make_unique<LooseKernel>(symbol, graphc::to_problem(reads, writes, attrs),
                                                 threads);
        },
        py::arg("symbol"), py::arg("reads"), py::arg("writes"), py::arg("attrs") = py::dict(),
        py::arg("threads") = 1);
    m.def(
        "kernel_fits",
        [](const std::string& symbol, const py::sequence& reads, const py::sequence& writes,
           const py::dict& attrs, int threads) {
            try {
                LooseKernel(symbol, graphc::to_problem(reads, writes, attrs), threads);
            } catch (const Error& error) {
                if (error.code == "GC-A001") return false;
                throw;
            }
            return true;
        },
        py::arg("symbol"), py::arg("reads"), py::arg("writes"), py::arg("attrs") = py::dict(),
        py::arg("threads") = 1);
    bind_session(m);
}
