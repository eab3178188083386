#include "kernels/sparse/product.h"

#include <algorithm>
#include <cstdio>

#include "kernels/parallel.h"

namespace graphc::sparse {

namespace {

Images images_of(const Spec& spec, const Told& told, std::int64_t channels, const Extents& plane,
                 const char* what) {
    require_image(spec, told.options.axis, {channels, plane[0], plane[1]}, what);
    const int last = spec.rank - 1;
    require(spec.dims[last] <= 1 || spec.strides[last] == 1 || spec.size() == 0, what);
    return {image_offsets(spec, told.options.axis), spec.strides[last - 2], spec.strides[last - 1]};
}

}  // namespace

Told::Told(const Attrs& attrs)
    : options(attrs),
      act(attrs),
      outputs(attrs.integer("outputs")),
      stored(attrs.integer("stored")),
      has_bias(flag(attrs, "bias")),
      has_residual(flag(attrs, "residual")) {
    require(options.spatial() == 2, "number of spatial axes");
    field.images = attrs.integer("batch");
    field.channels = attrs.integer("channels");
    require(field.images >= 0 && field.channels >= 0 && outputs >= 0 && stored >= 0, "extents");
    require(field.channels % groups() == 0 && outputs % groups() == 0, "group");
    for (int a = 0; a < 2; ++a) {
        const std::size_t at = std::size_t(a);
        options.windows(a);
        field.size[at] = options.size[at];
        field.kernel[at] = options.kernel[at];
        field.stride[at] = options.stride[at];
        field.pad[at] = options.pad[at];
        field.dilation[at] = options.dilation[at];
    }
    product({outputs + 1, field.channels + 1, options.taps()});
}

Operands::Operands(const Problem& problem, const Told& told)
    : wide(told.options.windows(1)), has_residual(told.has_residual) {
    const std::size_t reads = 2 + std::size_t(told.has_bias) + std::size_t(told.has_residual);
    require(problem.reads.size() == reads && problem.writes.size() == 1, "number of operands");
    const Spec &from = problem.reads[0], &to = problem.writes[0];
    require(from.rank == told.options.axis + 3 && to.rank == from.rank, "axes of x or y");
    const Extents out{told.options.windows(0), told.options.windows(1)};
    x = images_of(from, told, told.field.channels, told.options.size, "x");
    y = images_of(to, told, told.outputs, out, "y");
    const std::size_t images = std::size_t(told.field.images);
    require(x.starts.size() == images && y.starts.size() == images, "attribute batch");
    if (told.has_bias) require_flat(problem.reads[2], told.outputs, "bias");
    if (told.has_residual) {
        r = images_of(problem.reads.back(), told, told.outputs, out, "residual");
        require(r.starts.size() == images, "residual");
    }
}

bool Operands::has_dense_rows() const { return y.row == wide && (!has_residual || r.row == wide); }

Tiles::Tiles(const Planes& planes, int width, std::int64_t most_vectors, const Operands& operands)
    : width_(width) {
    const std::int64_t windows = planes.count(), wide = planes.wide();
    vectors_ = std::max<std::int64_t>(1, (windows + width - 1) / width);
    count_ = (vectors_ + most_vectors - 1) / most_vectors;
    last_ = int(windows - (vectors_ - 1) * width);
    parts_.resize(std::size_t(count_));
    for (std::int64_t j = 0; j < planes.joined(); ++j) {
        for (std::int64_t row = 0; row < planes.high(); ++row) {
            const std::int64_t first = planes.at(j, row);
            for (std::int64_t t = 0; t < count_; ++t) {
                const std::int64_t begin = start(t), end = begin + vectors(t) * width_;
                const std::int64_t low = std::max(first, begin), high = std::min(first + wide, end);
                if (low >= high) continue;
                add(parts_[std::size_t(t)], {low - begin, high - low, j, row, low - first},
                    operands);
            }
        }
    }
}

// An image that is one row here may have several in y, with gaps between.
void Tiles::add(std::vector<Part>& parts, Part part, const Operands& operands) const {
    const std::int64_t wide = operands.wide;
    while (!operands.has_dense_rows() && part.column + part.count > wide) {
        const std::int64_t here = std::max<std::int64_t>(wide - part.column, 0);
        if (here > 0) parts.push_back({part.from, here, part.image, part.row, part.column});
        part.from += here;
        part.count -= here;
        part.column += here - wide;
        ++part.row;
    }
    parts.push_back(part);
}

void Placer::place(const std::vector<Part>& parts, std::int64_t first, std::int64_t output,
                   const float* sums) const {
    TileStore store{};
    store.activation = told.act.activation;
    store.slope = told.act.slope;
    if (told.has_bias) store.row_bias = run.in(2) + output;
    const float* residual = told.has_residual ? run.in(2 + int(told.has_bias)) : nullptr;
    for (const Part& part : parts) {
        const std::size_t image = std::size_t(first + part.image);
        if (image >= operands.y.starts.size()) continue;
        const auto place_of = [&](const Images& to) {
            return to.starts[image] + output * to.channel + part.row * to.row + part.column;
        };
        store.c = run.out(0) + place_of(operands.y);
        if (residual) store.add = residual + place_of(operands.r);
        loops.place(sums + part.from, part.count, store);
    }
}

Source::Source(const Planes& planes, const Operands& operands, const Field& field, int threads)
    : planes_(planes), x_(operands.x), threads_(threads) {
    const bool is_dense = x_.row == field.size[1] && x_.channel == field.size[0] * field.size[1];
    is_copied_ = planes.is_copied() || !is_dense;
}

std::size_t Source::workspace() const {
    return is_copied_ ? std::size_t((planes_.size() + 15) / 16 * 16) * sizeof(float) : 0;
}

const float* Source::prepare(const Run& run, std::int64_t group) const {
    const std::int64_t first = group * planes_.joined();
    if (!is_copied_) return run.in(0) + x_.starts[std::size_t(first)];
    float* planes = reinterpret_cast<float*>(run.workspace);
    share_out(planes_.channels(), std::min(run.threads, threads_), [&](std::int64_t channel, int) {
        planes_.copy(run.in(0), x_, channel, first, planes);
    });
    planes_.end(planes);
    return planes;
}

void report_room(Fault* fault, std::int64_t count, std::int64_t room) {
    if (!fault) return;
    fault->code = "GC-W004";
    fault->hint = "compile the network again, so that it is laid out for these weights";
    std::snprintf(fault->message, sizeof fault->message,
                  "its sparse layout has room for %lld weights, but %lld are to be stored now",
                  static_cast<long long>(room), static_cast<long long>(count));
}

}  // namespace graphc::sparse
