// graphc._core: the Python face of csrc. Types and errors are translated here and nowhere else.

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <cstdint>
#include <exception>
#include <new>
#include <string>

#include "bind_core.h"
#include "bind_peaks.h"
#include "bind_plan.h"
#include "bind_replay.h"
#include "core/isa.h"
#include "error.h"
#include "rng/philox.h"
#include "rng/stream.h"

namespace py = pybind11;

namespace {

using graphc::Error;

void raise_graph_error(const std::string& code, const std::string& message,
                       const std::string& hint) {
    try {
        const py::object type = py::module_::import("graphc.errors").attr("GraphError");
        py::set_error(type, type(code, message, hint));
    } catch (const std::exception&) {  // not even the error could be made
        PyErr_NoMemory();
    }
}

void translate(std::exception_ptr pending) {
    if (!pending) return;
    try {
        std::rethrow_exception(pending);
    } catch (const Error& error) {
        raise_graph_error(error.code, error.what(), error.hint);
    } catch (const std::bad_alloc&) {
        raise_graph_error("GC-M002", "no memory left in the C++ core", "use a smaller batch");
    }
}

py::array_t<float> uniform(std::int64_t count, std::uint64_t seed, std::uint32_t step,
                           std::uint32_t layer, std::uint32_t tag, std::int64_t first) {
    graphc::rng::check_range(first, count);
    py::array_t<float> out(count);
    float* data = out.mutable_data();
    const py::gil_scoped_release unlocked;
    graphc::rng::fill_uniform({seed, step, layer, tag}, first, count, data);
    return out;
}

py::tuple philox(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key) {
    const auto words = graphc::rng::philox(counter, key);
    return py::make_tuple(words[0], words[1], words[2], words[3]);
}

}  // namespace

PYBIND11_MODULE(_core, m) {
    m.doc() = "The C++ core of graphc.";
    py::register_local_exception_translator(&translate);
    m.def("uniform", &uniform, py::kw_only(), py::arg("count"), py::arg("seed"), py::arg("step"),
          py::arg("layer"), py::arg("tag"), py::arg("first") = 0);
    m.def("philox", &philox, py::arg("counter"), py::arg("key"));
    m.def("isa", [] { return std::string(graphc::isa_name(graphc::chosen_isa())); });
    bind_core(m);
    bind_peaks(m);
    bind_plan(m);
    bind_replay(m);
}
