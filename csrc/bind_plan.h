// The part of graphc._core that packs buffers.
#pragma once

#include <pybind11/pybind11.h>

void bind_plan(pybind11::module_& m);
