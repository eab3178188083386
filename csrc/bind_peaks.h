// The part of graphc._core that measures what the machine can do.
#pragma once

#include <pybind11/pybind11.h>

void bind_peaks(pybind11::module_& m);
