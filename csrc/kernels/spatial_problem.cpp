#include "kernels/spatial_problem.h"

namespace graphc {

SpatialProblem::SpatialProblem(const Problem& told)
    : problem(told),
      options(told.attrs),
      act(told.attrs),
      pairs(int(told.writes.size())),
      has_bias(flag(told.attrs, "bias")),
      has_residual(flag(told.attrs, "residual")) {
    const std::size_t reads = told.writes.size() + 1 + int(has_bias) + int(has_residual);
    require(pairs >= 1 && told.reads.size() == reads, "number of operands");
    require(!has_residual || pairs == 1, "a residual for more than one y");
    const std::size_t axis = std::size_t(options.axis);
    for (int i = 0; i < pairs; ++i) {
        const Spec& x = told.reads[std::size_t(i)];
        const Spec& y = told.writes[std::size_t(i)];
        require(x.rank > options.axis && y.rank > options.axis, "axes of x or y");
        require(x.dims[axis] % options.groups == 0, "group");
        require(y.dims[axis] == outputs() && outputs() % options.groups == 0, "group");
    }
    const std::int64_t channels = told.reads[0].dims[axis] / options.groups;
    require_flat(
        weight(),
        packed_floats(options.groups, outputs() / options.groups, channels, options.taps()),
        "packed weight");
    if (has_bias) require_flat(told.reads[std::size_t(pairs) + 1], outputs(), "bias");
}

std::int64_t packed_floats(std::int64_t groups, std::int64_t outputs, std::int64_t channels,
                           std::int64_t taps) {
    product({groups, outputs + kMaxWidth, channels, taps});
    return ImplicitGemm::packed_size(groups, outputs, channels * taps);
}

ImplicitGemmShape SpatialProblem::shape(int i, const Extents& out) const {
    const Spec& x = problem.reads[std::size_t(i)];
    const Spec& y = problem.writes[std::size_t(i)];
    const std::size_t axis = std::size_t(options.axis);
    const auto image = [&](std::int64_t channels, Extents extents) {
        extents.insert(extents.begin(), channels);
        return extents;
    };
    require_image(x, options.axis, image(x.dims[axis], options.size), "x");
    require_image(y, options.axis, image(y.dims[axis], out), "y");
    ImplicitGemmShape shape;
    shape.groups = options.groups;
    shape.channels = x.dims[axis] / options.groups;
    shape.outputs = y.dims[axis] / options.groups;
    shape.x_images = image_offsets(x, options.axis);
    shape.y_images = image_offsets(y, options.axis);
    shape.x_channel = x.strides[axis];
    shape.y_channel = y.strides[axis];
    require(shape.x_images.size() == shape.y_images.size(), "axes before the channels");
    if (const Spec* r = residual()) {
        require_image(*r, options.axis, image(y.dims[axis], out), "residual");
        shape.r_images = image_offsets(*r, options.axis);
        shape.r_channel = r->strides[axis];
        require(shape.r_images.size() == shape.y_images.size(), "residual");
    }
    shape.threads = problem.threads;
    return shape;
}

void SpatialProblem::set_pitches(int i, std::vector<WindowAxis>& axes) const {
    const Spec& x = problem.reads[std::size_t(i)];
    const Spec& y = problem.writes[std::size_t(i)];
    const Spec& r = has_residual ? problem.reads.back() : y;
    for (std::size_t a = 0; a < axes.size(); ++a) {
        const std::size_t at = std::size_t(options.axis) + 1 + a;
        if (x.size() > 0) axes[a].x_pitch = x.strides[at];
        axes[a].y_pitch = y.strides[at];
        axes[a].r_pitch = r.strides[at];
    }
}

ImplicitGemmRun run_of(const Run& run, int i, int pairs, bool has_bias, bool has_residual,
                       const ActivationOptions& act) {
    ImplicitGemmRun job{};
    job.x = run.in(i);
    job.packed = run.in(pairs);
    job.bias = has_bias ? run.in(pairs + 1) : nullptr;
    job.residual = has_residual ? run.in(pairs + 1 + int(has_bias)) : nullptr;
    job.y = run.out(i);
    job.workspace = run.workspace;
    job.threads = run.threads;
    job.activation = act.activation;
    job.slope = act.slope;
    return job;
}

}  // namespace graphc
