#include "bind_peaks.h"

#include <cstdint>
#include <memory>

#include "peaks/multiply_add.h"
#include "peaks/stream.h"

namespace py = pybind11;

namespace {

using graphc::Stream;

py::tuple multiply_add(float start, float factor, float addend, std::int64_t steps, int threads) {
    graphc::MultiplyAddTime time;
    {
        const py::gil_scoped_release unlocked;
        time = graphc::multiply_add({start, factor, addend, steps}, threads);
    }
    return py::make_tuple(time.seconds, time.count, time.total);
}

py::tuple timed_read(const Stream& stream, std::size_t first, std::size_t count) {
    std::uint64_t sum = 0;
    double seconds = 0;
    {
        const py::gil_scoped_release unlocked;
        seconds = stream.read(first, count, sum);
    }
    return py::make_tuple(seconds, sum);
}

}  // namespace

void bind_peaks(py::module_& m) {
    m.def("multiply_add", &multiply_add, py::kw_only(), py::arg("start"), py::arg("factor"),
          py::arg("addend"), py::arg("steps"), py::arg("threads"));
    py::class_<Stream>(m, "Stream")
        .def(py::init([](std::size_t words, int threads) {
                 const py::gil_scoped_release unlocked;
                 return std::make_unique<Stream>(words, threads);
             }),
             py::arg("words"), py::arg("threads"))
        .def_property_readonly("size", &Stream::size)
        .def("read", &timed_read, py::arg("first"), py::arg("count"))
        .def("copy", &Stream::copy, py::arg("first"), py::arg("count"),
             py::call_guard<py::gil_scoped_release>())
        .def("swap", &Stream::swap);
}
