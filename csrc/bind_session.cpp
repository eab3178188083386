// Memory, files and sessions in graphc._core.

#include <pybind11/functional.h>
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#include "bind_core.h"
#include "bind_values.h"
#include "core/crc32.h"
#include "core/figures.h"
#include "core/session.h"
#include "error.h"

namespace py = pybind11;

namespace {

using graphc::Pages;
using graphc::Place;
using graphc::Session;
using graphc::StepPlan;
using PlaceTuple = std::tuple<int, std::size_t, std::size_t>;

Place to_place(const PlaceTuple& told) {
    return {std::get<0>(told), std::get<1>(told), std::get<2>(told)};
}

std::vector<Place> to_places(const std::vector<PlaceTuple>& told) {
    std::vector<Place> places;
    for (const PlaceTuple& each : told) places.push_back(to_place(each));
    return places;
}

std::unique_ptr<StepPlan> make_step(
    const std::string& name, const std::string& symbol, const py::sequence& reads,
    const py::sequence& writes, const py::dict& attrs, const std::vector<PlaceTuple>& read_places,
    const std::vector<PlaceTuple>& write_places, const PlaceTuple& workspace,
    const std::vector<PlaceTuple>& poison_before, const std::vector<PlaceTuple>& poison_after,
    const std::vector<PlaceTuple>& spent, int stream, const std::vector<int>& waits) {
    StepPlan step{name,
                  symbol,
                  graphc::to_problem(reads, writes, attrs),
                  to_places(read_places),
                  to_places(write_places),
                  to_place(workspace),
                  to_places(poison_before),
                  to_places(poison_after),
                  to_places(spent),
                  stream,
                  waits};
    return std::make_unique<StepPlan>(std::move(step));
}

// Calls back into Python, which needs the lock that the step loop gave away.
class PythonHost final : public graphc::Host {
  public:
    explicit PythonHost(py::object callback) : callback_(std::move(callback)) {}
    void call(int step) override {
        const py::gil_scoped_acquire locked;
        callback_(step);
    }
    void breathe() override {
        const py::gil_scoped_acquire locked;
        if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    }

  private:
    py::object callback_;
};

void run(Session& session, int entry, py::object callback, std::uint64_t seed, std::uint32_t step,
         bool poison, bool audit, bool measure, bool drop) {
    PythonHost host(std::move(callback));
    const py::gil_scoped_release unlocked;
    session.run(entry, host, {seed, step, poison, audit, measure, drop});
}

// Holds a buffer of Python's, and lets go of it under the interpreter's lock.
std::shared_ptr<Pages> pages_over(const py::buffer& told) {
    const auto release = [](py::buffer_info* info) {
        const py::gil_scoped_acquire locked;
        delete info;
    };
    const std::shared_ptr<py::buffer_info> info(new py::buffer_info(told.request()), release);
    if (info->readonly || info->ndim != 1 || info->itemsize != 1 || info->strides[0] != 1) {
        throw graphc::Error("GC-R001", "memory is wanted as bytes in a row that may be written");
    }
    return std::make_shared<Pages>(static_cast<char*>(info->ptr), std::size_t(info->size), info);
}

std::uint32_t crc32(const py::buffer& told) {
    const py::buffer_info info = told.request();
    if (info.ndim != 1 || info.itemsize != 1 || info.strides[0] != 1) {
        throw graphc::Error("GC-R001", "a checksum is of bytes in a row");
    }
    return graphc::crc32(info.ptr, std::size_t(info.size));
}

std::uintptr_t address_of(const py::buffer& told) {
    return reinterpret_cast<std::uintptr_t>(told.request().ptr);
}

py::buffer_info row_of(const py::buffer& told) {
    py::buffer_info info = told.request();
    if (info.ndim != 1 || info.format != "f" || info.strides[0] != 4) {
        throw graphc::Error("GC-R001", "figures are of float32 numbers in a row");
    }
    return info;
}

std::tuple<double, double, double> figures(const py::buffer& told) {
    const py::buffer_info row = row_of(told);
    if (row.size == 0) throw graphc::Error("GC-R001", "there are no figures of nothing");
    const graphc::Figures found =
        graphc::figures(static_cast<const float*>(row.ptr), std::size_t(row.size));
    return {found.least, found.mean, found.greatest};
}

std::vector<std::size_t> ranked(const py::buffer& told, std::size_t top) {
    const py::buffer_info row = row_of(told);
    return graphc::ranked(static_cast<const float*>(row.ptr), std::size_t(row.size), top);
}

std::uint32_t crc32_of_file(int file, std::uint64_t offset, std::uint64_t size) {
    const py::gil_scoped_release unlocked;
    return graphc::crc32_of_file(file, offset, size);
}

py::buffer_info buffer_of(Pages& pages) {
    static char nothing = 0;
    char* const data = pages.size() > 0 ? pages.data() : &nothing;
    return {data, 1, "B", 1, {py::ssize_t(pages.size())}, {1}};
}

}  // namespace

// Constructors are factories that hand over their holder: pybind11 makes one of its own outside of
// what catches exceptions, so that no memory for it would end the process.
void bind_session(py::module_& m) {
    m.def("crc32", &crc32, py::arg("data"));
    m.def("address_of", &address_of, py::arg("data"));
    m.def("figures", &figures, py::arg("data"));
    m.def("ranked", &ranked, py::arg("data"), py::arg("top"));
    m.def("crc32_of_file", &crc32_of_file, py::arg("file"), py::arg("offset"), py::arg("size"));
    py::class_<Pages, std::shared_ptr<Pages>>(m, "Pages", py::buffer_protocol())
        .def(py::init([](std::size_t nbytes) { return std::make_shared<Pages>(nbytes); }),
             py::arg("nbytes"))
        .def_static("over", &pages_over, py::arg("memory"))
        .def_buffer(&buffer_of)
        .def_property_readonly("nbytes", &Pages::size);
    py::class_<StepPlan>(m, "Step")
        .def(py::init(&make_step), py::kw_only(), py::arg("name"), py::arg("symbol"),
             py::arg("reads"), py::arg("writes"), py::arg("attrs"), py::arg("read_places"),
             py::arg("write_places"), py::arg("workspace"), py::arg("poison_before"),
             py::arg("poison_after"), py::arg("spent") = std::vector<PlaceTuple>(),
             py::arg("stream") = 0, py::arg("waits") = std::vector<int>())
        .def_readonly("name", &StepPlan::name)
        .def_readonly("symbol", &StepPlan::symbol);
    py::class_<Session>(m, "Session")
        .def(py::init([](std::vector<std::shared_ptr<Pages>> regions,
                         const std::vector<std::vector<StepPlan>>& entries, int threads) {
                 return std::make_unique<Session>(std::move(regions), entries, threads);
             }),
             py::arg("regions"), py::arg("entries"), py::arg("threads"))
        .def("run", &run, py::arg("entry"), py::arg("callback"), py::kw_only(), py::arg("seed") = 0,
             py::arg("step") = 0, py::arg("poison") = false, py::arg("audit") = false,
             py::arg("measure") = false, py::arg("drop") = false)
        .def_property_readonly("failed", &Session::failed)
        .def("times", [](Session& session, int entry) {
            const std::vector<double> times = session.times(entry);
            return py::array_t<double>(py::ssize_t(times.size()), times.data());
        });
}
