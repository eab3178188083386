// The part of graphc._core that runs kernels and sessions.
#pragma once

#include <pybind11/pybind11.h>

void bind_core(pybind11::module_& m);
void bind_session(pybind11::module_& m);
