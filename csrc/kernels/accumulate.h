// accumulates: gradients that are added to what their operand holds.
#pragma once

#include <string>

#include "core/kernel.h"
#include "error.h"

namespace graphc {

// Has the call the parameter accumulate? Its one result is then added to what is there, and the
// last operand that it reads is that result. Throws Error (GC-A001) where that cannot be.
inline bool accumulates(const Problem& problem, const std::string& kernel) {
    if (!problem.attrs.has("accumulate") || problem.attrs.integer("accumulate") == 0) return false;
    bool fits = problem.writes.size() == 1 && !problem.reads.empty();
    if (fits) {
        const Spec &target = problem.writes[0], &addend = problem.reads.back();
        fits = addend.dtype == DType::f32 && target.dtype == DType::f32 &&
               addend.rank == target.rank && addend.dims == target.dims;
    }
    if (!fits) throw Error("GC-A001", kernel + " adds its one result to what is there, of floats");
    return true;
}

}  // namespace graphc
