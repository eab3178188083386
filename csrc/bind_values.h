// Turns Python's operand specs and call attributes into the core's.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <string>
#include <vector>

#include "core/attrs.h"
#include "core/kernel.h"
#include "core/tensor.h"

namespace graphc {

// "f32", "i64", "i32" or "u8". Throws Error (GC-A001) for another name.
DType to_dtype(const std::string& name);

// (dtype, dims, strides), strides in elements or None for dense ones. Throws Error (GC-A001).
Spec to_spec(const pybind11::handle& told);
std::vector<Spec> to_specs(const pybind11::sequence& told);

// {name: bool | int | float | str | tuple of ints | tuple of floats}. Throws Error (GC-A001).
Attrs to_attrs(const pybind11::dict& told);

Problem to_problem(const pybind11::sequence& reads, const pybind11::sequence& writes,
                   const pybind11::dict& attrs);

// The address of an array that must have exactly the spec's element type, shape and strides.
// Throws Error (GC-R001); `what` names the operand.
char* address_of(const pybind11::array& array, const Spec& spec, bool is_written,
                 const std::string& what);

}  // namespace graphc
