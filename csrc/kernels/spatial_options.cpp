#include "kernels/spatial_options.h"

#include "error.h"

namespace graphc {

namespace {

constexpr std::int64_t kMost = std::int64_t(1) << 31;

Extents read_extents(const Attrs& attrs, const char* name, std::size_t count, std::int64_t least) {
    Extents values = attrs.integers(name);
    require(values.size() == count, std::string("attribute ") + name);
    for (const std::int64_t value : values) {
        require(value >= least && value < kMost, std::string("attribute ") + name);
    }
    return values;
}

}  // namespace

void require(bool holds, const std::string& what) {
    if (!holds) throw Error("GC-A001", "a kernel was given an unfit operand or attribute: " + what);
}

bool flag(const Attrs& attrs, const char* name) {
    return attrs.has(name) && attrs.integer(name) != 0;
}

std::int64_t product(const Extents& extents) {
    std::int64_t made = 1;
    for (const std::int64_t extent : extents) {
        require(extent == 0 || made <= (kMost << 16) / extent, "too many elements");
        made *= extent;
    }
    return made;
}

SpatialOptions::SpatialOptions(const Attrs& attrs)
    : axis(int(attrs.integer("axis"))), groups(attrs.integer("group")) {
    size = attrs.integers("size");
    require(axis >= 0 && axis + 1 + spatial() <= kMaxRank, "attribute axis");
    require(groups >= 1, "attribute group");
    size = read_extents(attrs, "size", size.size(), 0);
    kernel = read_extents(attrs, "kernel", size.size(), 1);
    stride = read_extents(attrs, "stride", size.size(), 1);
    pad = read_extents(attrs, "pad", size.size(), 0);
    dilation = read_extents(attrs, "dilation", size.size(), 1);
    if (attrs.has("spread")) told_spread = read_extents(attrs, "spread", size.size(), 0);
}

std::int64_t SpatialOptions::taps() const { return product(kernel); }

std::int64_t SpatialOptions::windows(int i) const {
    const std::size_t at = std::size_t(i);
    const std::int64_t room = size[at] + 2 * pad[at] - (dilation[at] * (kernel[at] - 1) + 1);
    require(room >= 0, "kernel larger than its input");
    return room / stride[at] + 1;
}

std::int64_t SpatialOptions::spread(int i) const {
    const std::size_t at = std::size_t(i);
    const std::int64_t reach = dilation[at] * (kernel[at] - 1) + 1;
    const std::int64_t extent = stride[at] * (size[at] - 1) + reach - 2 * pad[at];
    require(extent >= 0 && extent < kMost, "size of a deconvolution");
    if (told_spread.empty()) return extent;
    require(told_spread[at] >= extent && told_spread[at] < extent + stride[at], "attribute spread");
    return told_spread[at];
}

std::vector<WindowAxis> SpatialOptions::window_axes() const {
    std::vector<WindowAxis> axes(size.size());
    std::int64_t x_pitch = 1, y_pitch = 1;
    for (std::size_t i = size.size(); i-- > 0;) {
        WindowAxis& axis = axes[i];
        axis.in = size[i];
        axis.windows = windows(int(i));
        axis.step = stride[i];
        axis.shifts.clear();
        for (std::int64_t k = 0; k < kernel[i]; ++k) {
            axis.shifts.push_back(k * dilation[i] - pad[i]);
        }
        axis.x_pitch = x_pitch;
        axis.y_pitch = axis.r_pitch = y_pitch;
        x_pitch *= axis.in;
        y_pitch *= axis.windows;
    }
    return axes;
}

void require_image(const Spec& spec, int axis, const Extents& dims, const std::string& what) {
    bool fits = spec.dtype == DType::f32 && spec.rank == axis + int(dims.size());
    for (std::size_t i = 0; fits && i < dims.size(); ++i) {
        fits = spec.dims[std::size_t(axis) + i] == dims[i];
    }
    require(fits, what);
}

void require_flat(const Spec& spec, std::int64_t size, const std::string& what) {
    const bool is_dense = spec.contiguous() || spec.size() == 0;
    require(spec.dtype == DType::f32 && is_dense && spec.size() == size, what);
}

Extents image_offsets(const Spec& spec, int axis) {
    const std::int64_t count = spec.count(0, axis);
    Extents offsets(static_cast<std::size_t>(count));
    for (std::int64_t n = 0; n < count; ++n) {
        std::int64_t rest = n, at = 0;
        for (int i = axis - 1; i >= 0; --i) {
            at += rest % spec.dims[std::size_t(i)] * spec.strides[std::size_t(i)];
            rest /= spec.dims[std::size_t(i)];
        }
        offsets[std::size_t(n)] = at;
    }
    return offsets;
}

ActivationOptions::ActivationOptions(const Attrs& attrs) {
    if (!flag(attrs, "relu")) return;
    slope = attrs.has("slope") ? float(attrs.real("slope")) : 0.0f;
    activation = slope == 0 ? Activation::rectify : Activation::leaky;
}

}  // namespace graphc
