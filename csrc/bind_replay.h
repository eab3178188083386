// The part of graphc._core that looks for what to replay.
#pragma once

#include <pybind11/pybind11.h>

void bind_replay(pybind11::module_& m);
