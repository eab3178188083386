#include "kernels/winograd/layout.h"

#include "core/isa.h"

namespace graphc::winograd {

bool is_fresh(std::int64_t tiles, std::int64_t channels) {
    constexpr std::int64_t most_tiles = 56, most_channels = 256;
    return tiles <= most_tiles && channels <= most_channels;
}

std::int64_t count_tiles(const Attrs& attrs) {
    const SpatialOptions options = checked_options(attrs);
    const std::int64_t batch = attrs.integer("batch");
    require(batch >= 0, "attribute batch");
    const auto tiles = [&](int axis) { return (options.windows(axis) + kTile - 1) / kTile; };
    return product({batch, tiles(0), tiles(1)});
}

std::int64_t packed_size(int kernel, std::int64_t channels, std::int64_t outputs, bool fresh) {
    require(channels >= 1 && outputs >= 1, "channels of x or y");
    const std::int64_t whole = (outputs + kMaxWidth - 1) / kMaxWidth * kMaxWidth;
    const int side = fresh ? kernel : patch_of(kernel);
    return product({side, side, channels, whole});
}

const Loops& chosen_loops(const Attrs& attrs) {
    const bool is_small = checked_options(attrs).kernel[0] == 3;
    const Isa isa = chosen_isa();
#if GRAPHC_X86
    if (isa == Isa::avx512 && block_lanes(attrs) >= avx512::loops3.width) {
        return is_small ? avx512::loops3 : avx512::loops5;
    }
    if (isa != Isa::portable) return is_small ? avx2::loops3 : avx2::loops5;
#endif
    static_cast<void>(isa);
    return is_small ? portable::loops3 : portable::loops5;
}

SpatialOptions checked_options(const Attrs& attrs) {
    SpatialOptions options(attrs);
    require(options.spatial() == 2 && options.axis == 1, "attribute axis");
    require(options.groups == 1, "attribute group");
    const auto are = [](const Extents& extents, std::int64_t value) {
        return extents[0] == value && extents[1] == value;
    };
    require(are(options.kernel, 3) || are(options.kernel, 5), "attribute kernel");
    require(are(options.stride, 1), "attribute stride");
    require(are(options.dilation, 1), "attribute dilation");
    return options;
}

std::int64_t block_lanes(const Attrs& attrs) {
    const std::int64_t lanes = attrs.integer("block");
    require(lanes == 8 || lanes == 16, "attribute block");
    return lanes;
}

}  // namespace graphc::winograd
