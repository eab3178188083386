#include "kernels/implicit_gemm.h"

#include <algorithm>

#include "kernels/parallel.h"
#include "kernels/split.h"

namespace graphc {

namespace {

constexpr std::int64_t kPanelFloats = 65536;  // of gathered input: half of a small L2 cache
constexpr std::int64_t kSumFloats = 65536;    // of sums that wait to be put into place
constexpr std::int64_t kColumns = 512;        // of a block at most
constexpr std::int64_t kTableTaps = 256;      // taps whose pieces are kept all at once

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
std::int64_t round_up(std::int64_t a, std::int64_t b) { return ceil_div(a, b) * b; }
std::size_t lines(std::int64_t bytes) { return std::size_t(round_up(bytes, 64)); }

}  // namespace

ImplicitGemmShape product_shape(std::int64_t rows, std::int64_t outputs, std::int64_t depth) {
    ImplicitGemmShape shape;
    shape.outputs = outputs;
    shape.channels = depth;
    shape.x_channel = shape.y_channel = shape.r_channel = 1;
    for (std::int64_t n = 0; n < rows; ++n) {
        shape.x_images.push_back(n * depth);
        shape.y_images.push_back(n * outputs);
    }
    return shape;
}

ImplicitGemm::ImplicitGemm(ImplicitGemmShape shape)
    : shape_(std::move(shape)),
      windows_(std::move(shape_.axes)),
      loops_(chosen_loops()),
      images_(std::int64_t(shape_.x_images.size())),
      depth_(shape_.channels * windows_.taps()) {
    plan_lanes();
    const double outputs = double(shape_.groups) * double(shape_.outputs);
    const double sums = outputs * double(windows_.count()) * double(images_);
    shape_.threads = threads_for(0.02 * sums * double(depth_), shape_.threads);
    plan_blocks();
}

// Windows in lanes waste what an image's windows lack to whole vectors, outputs in lanes what the
// outputs lack, and some time to put each sum into its place.
bool ImplicitGemm::takes_outputs_in_lanes(std::int64_t windows, std::int64_t outputs,
                                          std::int64_t depth) {
    const std::int64_t width = chosen_loops().width;
    const auto waste = [&](std::int64_t n) {
        return double(round_up(n, width)) / double(std::max<std::int64_t>(n, 1));
    };
    const double place = 1 + 2.0 * double(width) / double(std::max<std::int64_t>(depth, 1));
    return waste(windows) > waste(outputs) * place;
}

void ImplicitGemm::plan_lanes() {
    const std::int64_t windows = windows_.count();
    outputs_in_lanes_ = takes_outputs_in_lanes(windows, shape_.outputs, depth_);
    columns_ = outputs_in_lanes_ ? windows * images_ : windows;
    const auto is_even = [](const std::vector<std::int64_t>& images) {
        for (std::size_t i = 2; i < images.size(); ++i) {
            if (images[i] - images[i - 1] != images[1] - images[0]) return false;
        }
        return true;
    };
    is_even_ = outputs_in_lanes_ && windows == 1 && windows_.is_dense() && shape_.y_channel == 1 &&
               (shape_.r_images.empty() || shape_.r_channel == 1) && is_even(shape_.y_images) &&
               is_even(shape_.r_images);
}

void ImplicitGemm::plan_blocks() {
    const std::int64_t width = loops_.width, rows = loops_.tile_rows;
    const std::int64_t k_most = std::max<std::int64_t>(1, ceil_div(depth_, depth_blocks(depth_)));
    const std::int64_t unit = outputs_in_lanes_ ? rows : width;  // columns come in such groups
    const std::int64_t units = std::max<std::int64_t>(1, ceil_div(columns_, unit));
    const std::int64_t outputs = shape_.outputs;
    const std::int64_t part_unit = outputs_in_lanes_ ? kTileVectors * width : rows;
    const std::int64_t part_units = std::max<std::int64_t>(1, ceil_div(outputs, part_unit));
    const bool has_sums = !is_even_ && (outputs_in_lanes_ || !windows_.is_dense());

    const std::int64_t fitting = std::min(kColumns, kPanelFloats / k_most) / unit;
    std::int64_t blocks = ceil_div(units, std::max<std::int64_t>(fitting, 2));
    std::int64_t parts = 1;
    if (has_sums) {
        const std::int64_t most =
            std::max(part_unit, kSumFloats / (ceil_div(units, blocks) * unit));
        parts = std::min(part_units, ceil_div(outputs, most));
    }
    // More and smaller tasks, until the threads' last ones end at about the same time. A task
    // takes as long as its products; gathering its input counts as four rows of them.
    const std::int64_t repeats = (outputs_in_lanes_ ? 1 : images_) * shape_.groups;
    const auto time_of = [&](std::int64_t b, std::int64_t p) {
        const std::int64_t turns = ceil_div(repeats * b * p, shape_.threads);
        return turns * ceil_div(units, b) * unit * (ceil_div(part_units, p) * part_unit + 4);
    };
    const std::int64_t least_blocks = blocks, least_parts = parts;
    const std::int64_t more = 2 * std::min(shape_.threads, 32);
    for (std::int64_t b = least_blocks; b <= std::min(units, least_blocks + more); ++b) {
        for (std::int64_t p = least_parts; p <= std::min(part_units, least_parts + more); ++p) {
            if (time_of(b, p) < time_of(blocks, parts)) {
                blocks = b;
                parts = p;
            }
        }
    }
    column_blocks_ = blocks;
    output_parts_ = parts;
    most_columns_ = ceil_div(units, blocks) * unit;
    most_outputs_ = ceil_div(part_units, parts) * part_unit;

    const std::int64_t lanes = outputs_in_lanes_ ? std::min(rows, width) : width;
    const std::int64_t row = windows_.row();
    const bool is_aligned = !outputs_in_lanes_ && (row % width == 0 || windows_.count() == row);
    pieces_per_tap_ = is_aligned ? 1 : int(windows_.most_runs(lanes));
    table_taps_ = windows_.taps() <= kTableTaps ? windows_.taps() : k_most;
    const std::int64_t vectors =
        outputs_in_lanes_ ? Slivers(most_columns_, loops_).count() * ceil_div(rows, width)
                          : most_columns_ / width;
    // A vector laid into a sliver may run over its end.
    const std::int64_t slack =
        outputs_in_lanes_ ? Slivers(most_columns_, loops_).count() * kMaxWidth : 0;
    panel_bytes_ = lines(std::int64_t(sizeof(float)) * (k_most * most_columns_ + slack));
    table_bytes_ = lines(std::int64_t(sizeof(Piece)) * vectors * table_taps_ * pieces_per_tap_);
    sum_bytes_ = has_sums ? lines(std::int64_t(sizeof(float)) * most_columns_ * most_outputs_) : 0;
    runs_bytes_ =
        has_sums ? lines(std::int64_t(sizeof(WindowRun)) * windows_.most_runs(most_columns_)) : 0;
}

std::size_t ImplicitGemm::workspace() const {
    return (panel_bytes_ + table_bytes_ + sum_bytes_ + runs_bytes_) * std::size_t(shape_.threads);
}

std::int64_t ImplicitGemm::packed_size(std::int64_t groups, std::int64_t outputs,
                                       std::int64_t depth) {
    return groups * round_up(outputs, kMaxWidth) * depth;
}

std::int64_t ImplicitGemm::packed_size() const {
    return packed_size(shape_.groups, shape_.outputs, depth_);
}

void ImplicitGemm::pack(const float* weight, const WeightPlaces& places, float* packed,
                        int threads) const {
    const std::int64_t outputs = shape_.outputs, taps = windows_.taps(), width = loops_.width;
    const std::int64_t panel = kTileVectors * width;
    const Slivers slivers(outputs, loops_);
    const std::int64_t strips = outputs_in_lanes_ ? ceil_div(outputs, panel) : slivers.count();
    const std::int64_t group_size = packed_size() / shape_.groups;
    share_out(shape_.groups * strips, threads, [&](std::int64_t task, int) {
        const std::int64_t group = task / strips, strip = task % strips;
        std::int64_t first, stop, row;
        if (outputs_in_lanes_) {
            first = strip * panel;
            stop = std::min(outputs, first + panel);
            row = round_up(stop - first, width);
        } else {
            first = slivers.start(strip);
            stop = slivers.start(strip + 1);
            row = stop - first;
        }
        float* to = packed + group * group_size + first * depth_;
        for (std::int64_t c = 0; c < shape_.channels; ++c) {
            for (std::int64_t t = 0; t < taps; ++t, to += row) {
                const float* from = weight + group * places.group + first * places.output +
                                    c * places.channel + places.taps[std::size_t(t)];
                std::int64_t i = 0;
                for (; i < stop - first; ++i) to[i] = from[i * places.output];
                for (; i < row; ++i) to[i] = 0;
            }
        }
    });
}

}  // namespace graphc
