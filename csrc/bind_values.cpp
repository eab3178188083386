#include "bind_values.h"

#include <cstdint>
#include <utility>

#include "error.h"

namespace py = pybind11;

namespace graphc {

namespace {

constexpr std::int64_t kMaxSize = std::int64_t(1) << 48;

std::int64_t to_int(const py::handle& value, const char* what) {
    if (!py::isinstance<py::int_>(value)) {
        throw Error("GC-A001", std::string(what) + " is no integer");
    }
    const std::int64_t number = PyLong_AsLongLong(value.ptr());
    if (number == -1 && PyErr_Occurred()) {
        PyErr_Clear();
        throw Error("GC-A001", std::string(what) + " does not fit 64 bits");
    }
    return number;
}

std::vector<std::int64_t> to_ints(const py::handle& value, const char* what) {
    if (!py::isinstance<py::sequence>(value) || py::isinstance<py::str>(value)) {
        throw Error("GC-A001", std::string(what) + " are no sequence");
    }
    std::vector<std::int64_t> numbers;
    for (const py::handle each : py::reinterpret_borrow<py::sequence>(value)) {
        numbers.push_back(to_int(each, what));
    }
    return numbers;
}

Attrs::Value to_list(const std::string& name, const py::sequence& told) {
    bool is_whole = true;
    for (const py::handle each : told) is_whole = is_whole && py::isinstance<py::int_>(each);
    if (is_whole) return to_ints(told, name.c_str());
    std::vector<double> numbers;
    for (const py::handle each : told) {
        if (!py::isinstance<py::float_>(each) && !py::isinstance<py::int_>(each)) {
            throw Error("GC-A001", "parameter " + name + " holds something that is no number");
        }
        numbers.push_back(each.cast<double>());
    }
    return numbers;
}

Attrs::Value to_value(const std::string& name, const py::handle& told) {
    if (py::isinstance<py::int_>(told)) return to_int(told, name.c_str());  // bools are ints
    if (py::isinstance<py::float_>(told)) return told.cast<double>();
    if (py::isinstance<py::str>(told)) return told.cast<std::string>();
    if (py::isinstance<py::tuple>(told) || py::isinstance<py::list>(told)) {
        return to_list(name, py::reinterpret_borrow<py::sequence>(told));
    }
    throw Error("GC-A001", "parameter " + name + " is no number, text or tuple of numbers");
}

bool has_dtype(const py::array& array, DType dtype) {
    const char kind = dtype == DType::f32 ? 'f' : dtype == DType::u8 ? 'u' : 'i';
    return array.dtype().kind() == kind && array.itemsize() == item_size(dtype) &&
           array.dtype().byteorder() != '>';
}

}  // namespace

DType to_dtype(const std::string& name) {
    if (name == "f32") return DType::f32;
    if (name == "i64") return DType::i64;
    if (name == "i32") return DType::i32;
    if (name == "u8") return DType::u8;
    throw Error("GC-A001", "no element type " + name);
}

Spec to_spec(const py::handle& told) {
    if (!py::isinstance<py::sequence>(told) || py::isinstance<py::str>(told) ||
        py::len(told) != 3) {
        throw Error("GC-A001", "an operand's spec is no (dtype, dims, strides)");
    }
    const auto parts = py::reinterpret_borrow<py::sequence>(told);
    if (!py::isinstance<py::str>(parts[0])) {
        throw Error("GC-A001", "an operand's element type is no text");
    }
    Spec spec;
    spec.dtype = to_dtype(parts[0].cast<std::string>());
    const std::vector<std::int64_t> dims = to_ints(parts[1], "an operand's dims");
    if (dims.size() > std::size_t(kMaxRank)) {
        throw Error("GC-A001", "an operand has " + std::to_string(dims.size()) +
                                   " axes; kernels know up to " + std::to_string(kMaxRank));
    }
    spec.rank = int(dims.size());
    std::int64_t size = 1;
    for (int i = spec.rank - 1; i >= 0; --i) {
        if (dims[i] < 0 || (dims[i] > 0 && size > kMaxSize / dims[i])) {
            throw Error("GC-A001", "an operand's dims are out of range");
        }
        spec.dims[i] = dims[i];
        spec.strides[i] = size;
        size *= dims[i] > 0 ? dims[i] : 1;
    }
    const py::object strides = parts[2];
    if (strides.is_none()) return spec;
    const std::vector<std::int64_t> steps = to_ints(strides, "an operand's strides");
    if (steps.size() != dims.size()) {
        throw Error("GC-A001", "an operand has another number of strides than of dims");
    }
    for (int i = 0; i < spec.rank; ++i) {
        if (steps[i] < 0 || steps[i] > kMaxSize) {
            throw Error("GC-A001", "an operand's strides are out of range");
        }
        spec.strides[i] = steps[i];
    }
    return spec;
}

std::vector<Spec> to_specs(const py::sequence& told) {
    std::vector<Spec> specs;
    for (const py::handle each : told) specs.push_back(to_spec(each));
    return specs;
}

Attrs to_attrs(const py::dict& told) {
    Attrs attrs;
    for (const auto& [key, value] : told) {
        if (!py::isinstance<py::str>(key)) {
            throw Error("GC-A001", "a kernel's parameter is named by no text");
        }
        const std::string name = key.cast<std::string>();
        attrs.set(name, to_value(name, value));
    }
    return attrs;
}

Problem to_problem(const py::sequence& reads, const py::sequence& writes, const py::dict& attrs) {
    return Problem{to_specs(reads), to_specs(writes), to_attrs(attrs), 1};
}

char* address_of(const py::array& array, const Spec& spec, bool is_written,
                 const std::string& what) {
    if (!has_dtype(array, spec.dtype)) {
        throw Error("GC-R001", what + " has another element type than the kernel was made for");
    }
    bool is_same = array.ndim() == spec.rank;
    for (int i = 0; is_same && i < spec.rank; ++i) {
        is_same = array.shape(i) == spec.dims[i] &&
                  (spec.dims[i] <= 1 || spec.size() == 0 ||
                   array.strides(i) == spec.strides[i] * item_size(spec.dtype));
    }
    if (!is_same) {
        throw Error("GC-R001", what + " has another shape or strides than the kernel was made for");
    }
    if (is_written && !array.writeable()) throw Error("GC-R001", what + " is read-only");
    return static_cast<char*>(const_cast<void*>(array.data()));
}

}  // namespace graphc
