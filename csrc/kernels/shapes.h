// What kernels ask of their operands' shapes when they are made.
#pragma once

#include <string>

#include "core/kernel.h"
#include "error.h"

namespace graphc {

inline void expect(bool holds, const std::string& what) {
    if (!holds) throw Error("GC-A001", what);
}

// So many operands, all of them dense floats.
inline void expect_dense(const Problem& problem, const char* kernel, std::size_t reads,
                         std::size_t least_writes, std::size_t most_writes) {
    const std::size_t writes = problem.writes.size();
    const std::string name = kernel;
    expect(problem.reads.size() == reads && writes >= least_writes && writes <= most_writes,
           name + " has another number of operands");
    for (const auto* side : {&problem.reads, &problem.writes}) {
        for (const Spec& each : *side) {
            expect(each.dtype == DType::f32 && each.contiguous(),
                   name + " takes dense float32 operands only");
        }
    }
}

// A tensor seen with three axes: those before `axis`, it, and those after.
struct Around {
    std::int64_t outer, extent, inner;
};

inline Around around(const Spec& x, std::int64_t axis) {
    expect(axis >= 0 && axis < x.rank,
           "axis " + std::to_string(axis) + " is none of the operand's");
    return {x.count(0, int(axis)), x.dims[axis], x.count(int(axis) + 1, x.rank)};
}

}  // namespace graphc
