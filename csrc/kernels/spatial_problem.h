// Operands of a convolution or its transpose, checked, as ImplicitGemm wants to be told of them.
#pragma once

#include "core/kernel.h"
#include "kernels/implicit_gemm.h"
#include "kernels/spatial_options.h"

namespace graphc {

// Reads x0, x1, ..., packed weight, bias if attribute bias, residual if attribute
// residual; writes y0, y1, ... Throws Error (GC-A001).
struct SpatialProblem {
    const Problem& problem;
    SpatialOptions options;
    ActivationOptions act;
    int pairs;
    bool has_bias, has_residual;

    explicit SpatialProblem(const Problem& problem);

    const Spec& weight() const { return problem.reads[std::size_t(pairs)]; }
    const Spec* residual() const { return has_residual ? &problem.reads.back() : nullptr; }
    std::int64_t outputs() const { return problem.writes[0].dims[std::size_t(options.axis)]; }

    // Everything of pair i but `axes`; `out`: the spatial extents that y must have.
    ImplicitGemmShape shape(int i, const Extents& out) const;
    // Gives axes the strides that pair i has.
    void set_pitches(int i, std::vector<WindowAxis>& axes) const;
};

// Floats of a packed weight; throws Error (GC-A001) where that is no sensible number.
std::int64_t packed_floats(std::int64_t groups, std::int64_t outputs, std::int64_t channels,
                           std::int64_t taps);

// Addresses of a run of pair i.
ImplicitGemmRun run_of(const Run& run, int i, int pairs, bool has_bias, bool has_residual,
                       const ActivationOptions& act);

}  // namespace graphc
