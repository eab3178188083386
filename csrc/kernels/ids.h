// What is said of an id that is no row of an embedding's weight.
#pragma once

#include <cstdint>
#include <cstdio>

#include "core/kernel.h"

namespace graphc {

// Fault GC-D003 for `id`, element `at` of x.
inline void report_id(Fault* fault, float id, std::int64_t at, std::int64_t rows) {
    if (!fault) return;
    fault->code = "GC-D003";
    std::snprintf(fault->message, sizeof fault->message,
                  "id %g at element %lld is outside 0..%lld (input_dim %lld)", double(id),
                  static_cast<long long>(at), static_cast<long long>(rows - 1),
                  static_cast<long long>(rows));
}

}  // namespace graphc
