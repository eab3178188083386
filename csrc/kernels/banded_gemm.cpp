#include <algorithm>
#include <utility>

#include "kernels/banded_gemm_band.h"
#include "kernels/parallel.h"
#include "kernels/split.h"

namespace graphc {

namespace {

constexpr std::int64_t kBandFloats = 32768;                // of a band: half of a small L2 cache
constexpr std::int64_t kSlack = kTileVectors * kMaxWidth;  // floats that a tile reads too many

// Measured, of the time that the products take. To copy a vector of x, or gather one from a single
// row, for each product that it is in; to close the gaps of a tile, for each product of a sum. Each
// product's vectors come from a cache: more lines of it, where columns of taps lie apart.
constexpr double kCopy = 20, kCopyApart = 14, kGather = 8, kGaps = 17;
constexpr double kLine = 0.2, kPanel = 0.05;

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

bool is_evenly_spaced(const std::vector<std::int64_t>& shifts) {
    for (std::size_t i = 2; i < shifts.size(); ++i) {
        if (shifts[i] - shifts[i - 1] != shifts[1] - shifts[0]) return false;
    }
    return shifts.size() < 2 || shifts[1] > shifts[0];
}

}  // namespace

BandedGemm::Axis::Axis(const WindowAxis& axis, bool is_apart)
    : in(axis.in),
      windows(axis.windows),
      step(axis.step),
      taps(std::int64_t(axis.shifts.size())),
      dilation(taps > 1 ? axis.shifts[1] - axis.shifts[0] : 1),
      low(axis.shifts[0]),
      is_apart(is_apart) {}

double BandedGemm::cost(const ImplicitGemmShape& shape, bool is_apart) {
    const Axis rows(shape.axes[0], false), cols(shape.axes[1], is_apart);
    const std::int64_t width = cols.windows + cols.reach(), taps = rows.taps * cols.taps;
    const double lanes = double(ceil_div(width, kMaxWidth) * kMaxWidth) / double(width);
    const double planes = double(rows.planes() * cols.planes());
    const double copying = planes * lanes / (double(taps) * double(shape.outputs));
    const double depth = double(shape.channels * taps);
    if (!is_apart) {
        const double gaps = cols.reach() ? kGaps * double(depth_blocks(std::int64_t(depth))) : 0;
        return double(cols.reach()) / double(cols.windows) + kCopy * copying + gaps / depth;
    }
    constexpr std::int64_t panel = kTileVectors * kMaxWidth;
    const std::int64_t met = std::min(panel, width) * (rows.taps - 1) + panel;
    return kCopyApart * copying + kLine * (double(met) / double(kMaxWidth * rows.taps) - 1);
}

// Tiles know three runs of windows at most.
bool BandedGemm::is_apart(const ImplicitGemmShape& shape) {
    const Axis cols(shape.axes[1], false);
    return cols.windows + cols.reach() < kMaxWidth || cost(shape, true) < cost(shape, false);
}

bool BandedGemm::suits(const ImplicitGemmShape& shape) {
    if (shape.axes.size() != 2 || shape.channels == 0 || shape.outputs == 0) return false;
    for (const WindowAxis& axis : shape.axes) {
        const bool is_plain = axis.first == 0 && axis.stride == 1 && axis.windows > 0;
        if (!is_plain || !is_evenly_spaced(axis.shifts)) return false;
    }
    const WindowAxis &down = shape.axes[0], &across = shape.axes[1];
    const bool is_dense =
        across.y_pitch == 1 && across.r_pitch == 1 &&
        (down.windows == 1 || (down.y_pitch == across.windows && down.r_pitch == across.windows));
    const std::int64_t taps = std::int64_t(down.shifts.size() * across.shifts.size());
    if (!is_dense || taps == 1 || (across.in > 1 && across.x_pitch != 1)) return false;
    const std::int64_t windows = down.windows * across.windows;
    if (ImplicitGemm::takes_outputs_in_lanes(windows, shape.outputs, shape.channels * taps)) {
        return false;
    }
    // What ImplicitGemm takes to gather a vector, and for its table.
    const double pieces = 1 + double(kMaxWidth - 1) / double(across.windows);
    const double gathering =
        kPanel + (kGather * pieces + 66.0 / double(shape.channels)) / double(shape.outputs);
    return cost(shape, is_apart(shape)) < gathering;
}

std::unique_ptr<SpatialGemm> spatial_gemm(ImplicitGemmShape shape) {
    if (BandedGemm::suits(shape)) return std::make_unique<BandedGemm>(std::move(shape));
    return std::make_unique<ImplicitGemm>(std::move(shape));
}

BandedGemm::BandedGemm(ImplicitGemmShape shape)
    : shape_(std::move(shape)),
      rows_(shape_.axes[0], false),
      cols_(shape_.axes[1], is_apart(shape_)),
      loops_(chosen_loops()),
      slivers_(shape_.outputs, loops_),
      taps_(rows_.taps * cols_.taps),
      depth_(shape_.channels * taps_),
      x_row_(shape_.axes[0].x_pitch) {
    const double sums = double(shape_.groups) * double(shape_.outputs) *
                        double(rows_.windows * cols_.windows) * double(shape_.x_images.size());
    shape_.threads = threads_for(0.02 * sums * double(depth_), shape_.threads);
    plan();
    make_pieces();
    make_offsets();
}

void BandedGemm::plan() {
    pitch_ = cols_.windows + cols_.reach();
    is_flat_ = loops_.has_masks && rows_.step == 1 && cols_.step == 1 && cols_.in == pitch_ &&
               x_row_ == pitch_;
    const std::int64_t block = ceil_div(depth_, depth_blocks(depth_));
    const std::int64_t channels = std::min(shape_.channels, ceil_div(block, taps_) + 1);
    const std::int64_t planes = rows_.planes() * cols_.planes() * channels;
    const auto height_of = [&](std::int64_t bands) {
        return ceil_div(rows_.windows, bands) + rows_.reach();
    };
    std::int64_t bands = 1;
    while (bands < rows_.windows && height_of(bands) * pitch_ * planes > kBandFloats) ++bands;
    // More and smaller bands, until the threads' last ones end at about the same time.
    const std::int64_t repeats = shape_.groups * std::int64_t(shape_.x_images.size());
    const auto time_of = [&](std::int64_t count) {
        return ceil_div(repeats * count, shape_.threads) * (ceil_div(rows_.windows, count) + 1);
    };
    bands_ = bands;
    const std::int64_t most = std::min(rows_.windows, bands + 2 * std::min(shape_.threads, 32));
    for (std::int64_t count = bands; count <= most; ++count) {
        if (time_of(count) < time_of(bands_)) bands_ = count;
    }
    height_ = height_of(bands_);
    plane_ = height_ * pitch_;
    if (is_flat_) plane_ = ceil_div(plane_, loops_.width) * loops_.width;
    channel_ = plane_ * rows_.planes() * cols_.planes();
    const std::int64_t floats = channel_ * channels + kSlack + cols_.reach();
    own_bytes_ = std::size_t(ceil_div(floats * std::int64_t(sizeof(float)), 64)) * 64;
}

std::size_t BandedGemm::workspace() const { return own_bytes_ * std::size_t(shape_.threads); }

void BandedGemm::make_pieces() {
    for (std::int64_t c = 0; c < (is_flat_ ? bands_ : 1) * cols_.planes(); ++c) {
        for (std::int64_t at = 0; at < (is_flat_ ? plane_ : pitch_); at += loops_.width) {
            pieces_.push_back(is_flat_ ? flat_piece(c, at) : row_piece(c, at));
        }
    }
}

// What a vector from column `at` of a row of a plane of columns holds: lane l has element
// first + l * step, where there is one.
Piece BandedGemm::row_piece(std::int64_t plane, std::int64_t at) const {
    const std::int64_t first = at * cols_.step + cols_.first(plane);
    const auto lanes_below = [&](std::int64_t element) {
        return int(std::clamp<std::int64_t>(
            element > first ? ceil_div(element - first, cols_.step) : 0, 0, loops_.width));
    };
    const int low = lanes_below(0), high = lanes_below(cols_.in);
    return low < high ? make_piece(first, low, high) : Piece{};
}

// The same of all rows of a band as one; `number` counts through the planes of all bands.
Piece BandedGemm::flat_piece(std::int64_t number, std::int64_t at) const {
    const std::int64_t band = number / cols_.planes();
    const std::int64_t row = rows_.windows * band / bands_ + rows_.first(0);
    const std::int64_t first = cols_.first(number % cols_.planes());
    Piece piece{row * pitch_ + first + at, 0, 0, std::uint8_t(loops_.width)};
    for (int lane = 0; lane < loops_.width; ++lane) {
        const std::int64_t y = row + (at + lane) / pitch_, x = first + (at + lane) % pitch_;
        const bool is_inside = y >= 0 && y < rows_.in && x >= 0 && x < cols_.in;
        if (is_inside) piece.mask |= std::uint16_t(1u << lane);
    }
    return piece;
}

void BandedGemm::make_offsets() {
    for (std::int64_t c = 0; c < shape_.channels; ++c) {
        for (std::int64_t i = 0; i < rows_.taps; ++i) {
            for (std::int64_t j = 0; j < cols_.taps; ++j) {
                const std::int64_t plane = rows_.plane(i) * cols_.planes() + cols_.plane(j);
                offsets_.push_back(c * channel_ + plane * plane_ + rows_.plane_shift(i) * pitch_ +
                                   cols_.plane_shift(j));
            }
        }
    }
}

void BandedGemm::run(const ImplicitGemmRun& run) const {
    const std::int64_t images = std::int64_t(shape_.x_images.size());
    share_out(images * shape_.groups * bands_, std::min(run.threads, shape_.threads),
              [&](std::int64_t task, int thread) {
                  Band band{};
                  band.number = task % bands_;
                  band.first = rows_.windows * band.number / bands_;
                  band.stop = rows_.windows * (band.number + 1) / bands_;
                  band.group = task / bands_ % shape_.groups;
                  band.image = std::size_t(task / bands_ / shape_.groups);
                  band.planes =
                      reinterpret_cast<float*>(run.workspace + own_bytes_ * std::size_t(thread));
                  for (std::int64_t i = 0; i < depth_blocks(depth_); ++i) {
                      const DepthBlock block = depth_block(depth_, i);
                      const std::int64_t channel = block.k0 / taps_;
                      copy(run, band, channel, ceil_div(block.k1, taps_) - channel);
                      multiply(run, band, block);
                  }
              });
}

void BandedGemm::copy(const ImplicitGemmRun& run, const Band& band, std::int64_t channel,
                      std::int64_t count) const {
    const float* x = run.x + shape_.x_images[band.image] +
                     (band.group * shape_.channels + channel) * shape_.x_channel;
    CopyJob job{};
    job.x_row = x_row_;
    job.height = is_flat_ ? 1 : rows_.in;
    job.stride = rows_.step;
    job.step = cols_.step;
    job.to = band.planes;
    job.rows = is_flat_ ? 1 : height_;
    job.pitch = is_flat_ ? plane_ : pitch_;
    const std::int64_t vectors = ceil_div(job.pitch, loops_.width);
    const Piece* pieces = pieces_.data() + (is_flat_ ? band.number * cols_.planes() * vectors : 0);
    for (std::int64_t c = 0; c < count; ++c, x += shape_.x_channel) {
        job.x = x;
        for (std::int64_t r = 0; r < rows_.planes(); ++r) {
            job.first = is_flat_ ? 0 : band.first * rows_.step + rows_.first(r);
            for (std::int64_t i = 0; i < cols_.planes(); ++i, job.to += plane_) {
                job.pieces = pieces + i * vectors;
                loops_.copy(job);
            }
        }
    }
    std::fill_n(band.planes + count * channel_, kSlack + cols_.reach(), 0.0f);
}

}  // namespace graphc
