#include "kernels/weight_gradient.h"

#include <algorithm>
#include <cstring>

#include "error.h"
#include "kernels/parallel.h"
#include "kernels/split.h"

namespace graphc {

namespace {

constexpr std::int64_t kChunk = 512;   // products, so that a tile's operands stay in the L1 cache
constexpr std::int64_t kTogether = 2;  // tiles' columns that stay there while outputs pass by
constexpr std::int64_t kOutputs = 96;  // outputs of a task at most
constexpr std::int64_t kOwnFloats = 131072;  // of a task: half of a small L2 cache

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
std::size_t lines(std::int64_t floats) {
    return std::size_t(ceil_div(floats, 16) * 16) * sizeof(float);
}

}  // namespace

WeightGradient::WeightGradient(WeightGradientShape shape)
    : shape_(std::move(shape)),
      windows_(std::move(shape_.axes)),
      loops_(chosen_loops()),
      images_(std::int64_t(shape_.dy_images.size())),
      depth_(shape_.channels * windows_.taps()) {
    if (!windows_.is_dense()) throw Error("GC-A001", "windows that lie apart in dy");
    const auto& starts = shape_.x_images;
    for (std::size_t i = 2; i < starts.size(); ++i) {
        const bool is_even = starts[i] - starts[i - 1] == starts[1] - starts[0];
        if (!is_even) throw Error("GC-A001", "images of x unequally far apart");
    }
    if (windows_.count() > 0) plan_chunks();
    plan_tasks();
}

// An image is cut into chunks of about one length; or as many whole images as fit make one.
void WeightGradient::plan_chunks() {
    const std::int64_t width = loops_.width, windows = windows_.count();
    const std::int64_t cuts = ceil_div(windows, kChunk);
    std::int64_t length = ceil_div(ceil_div(windows, cuts), width) * width;
    if (cuts == 1) {
        images_per_turn_ = std::min(kChunk / windows, std::max<std::int64_t>(images_, 1));
        length = images_per_turn_ * windows;
    }
    row_ = ceil_div(length, width) * width;
    const bool is_aligned = windows_.row() % width == 0 || windows == windows_.row();
    const bool is_single = is_aligned && images_per_turn_ == 1;
    pieces_per_tap_ = is_single ? 1 : int(windows_.most_runs(width));
    const auto add = [&](std::int64_t images, std::vector<Chunk>& chunks) {
        for (std::int64_t first = 0; first < images * windows; first += length) {
            const Chunk chunk{std::min(length, images * windows - first), pieces_.size()};
            chunks.push_back(chunk);
            for (std::int64_t at = 0; at < chunk.count; at += width) {
                WindowRun runs[kMaxWidth];
                const std::int64_t lanes = std::min(width, chunk.count - at);
                const int count = windows_.cut(first + at, lanes, runs);
                pieces_.resize(pieces_.size() + std::size_t(windows_.taps() * pieces_per_tap_));
                windows_.make_pieces(runs, count, shape_.x_images.data(), 0, windows_.taps(),
                                     pieces_per_tap_,
                                     pieces_.data() + pieces_.size() -
                                         std::size_t(windows_.taps() * pieces_per_tap_));
            }
        }
    };
    if (images_ >= images_per_turn_) add(images_per_turn_, chunks_);
    add(images_ % images_per_turn_, last_);
}

void WeightGradient::plan_tasks() {
    const std::int64_t width = loops_.width;
    const double sums = double(shape_.groups) * double(shape_.outputs) * double(depth_);
    shape_.threads =
        threads_for(0.02 * sums * double(windows_.count()) * double(images_), shape_.threads);
    output_parts_ = std::max<std::int64_t>(1, ceil_div(shape_.outputs, kOutputs));
    most_outputs_ = ceil_div(shape_.outputs, output_parts_);
    const std::int64_t tile = loops_.dot_columns;
    const std::int64_t fitting = kOwnFloats / (most_outputs_ * width + row_ + 1) / tile * tile;
    const std::int64_t tiles = std::max<std::int64_t>(1, ceil_div(depth_, tile));
    column_parts_ = std::max<std::int64_t>(1, ceil_div(depth_, std::max(fitting, tile)));
    // As many tasks as threads can share out evenly.
    const std::int64_t others = shape_.groups * output_parts_;
    while (column_parts_ < tiles && others * column_parts_ % shape_.threads != 0) ++column_parts_;
    most_columns_ = ceil_div(depth_, column_parts_);
    panel_bytes_ = lines(most_columns_ * row_);
    rows_bytes_ = images_per_turn_ > 1 ? lines(most_outputs_ * row_) : 0;
    lane_bytes_ = lines(most_outputs_ * most_columns_ * width);
    own_bytes_ = panel_bytes_ + rows_bytes_ + lane_bytes_;
}

void WeightGradient::run(const WeightGradientRun& run) const {
    const std::int64_t parts = output_parts_ * column_parts_;
    share_out(shape_.groups * parts, std::min(run.threads, shape_.threads),
              [&](std::int64_t number, int thread) {
                  Task task{};
                  task.group = number / parts;
                  const std::int64_t o = number % output_parts_;
                  const std::int64_t c = number % parts / output_parts_;
                  task.output = shape_.outputs * o / output_parts_;
                  task.outputs = shape_.outputs * (o + 1) / output_parts_ - task.output;
                  task.column = depth_ * c / column_parts_;
                  task.columns = depth_ * (c + 1) / column_parts_ - task.column;
                  char* own = run.workspace + own_bytes_ * std::size_t(thread);
                  task.panel = reinterpret_cast<float*>(own);
                  task.rows = reinterpret_cast<float*>(own += panel_bytes_);
                  task.lanes = reinterpret_cast<float*>(own += rows_bytes_);
                  if (task.outputs > 0 && task.columns > 0) run_task(run, task);
              });
}

void WeightGradient::run_task(const WeightGradientRun& run, const Task& task) const {
    const std::int64_t windows = windows_.count();
    const float* x = run.x + task.group * shape_.channels * shape_.x_channel;
    if (windows * images_ == 0) std::memset(task.lanes, 0, lane_bytes_);
    for (std::int64_t image = 0; windows > 0 && image < images_; image += images_per_turn_) {
        const bool is_last = images_ - image < images_per_turn_;
        const float* from = x + shape_.x_images[std::size_t(image)] - shape_.x_images[0];
        std::int64_t first = image * windows;
        for (const Chunk& chunk : is_last ? last_ : chunks_) {
            gather(from, task, chunk);
            std::int64_t dy_row = 0;
            const float* dy = rows_of(run.dy, task, first, chunk.count, &dy_row);
            each_tile(task, [&](std::int64_t o, int tall, std::int64_t c, int wide, float* lanes) {
                const DotJob job{chunk.count, dy + o * dy_row, dy_row,    task.panel + c * row_,
                                 row_,        lanes,           first == 0};
                loops_.dot[tall - 1][wide - 1](job);
            });
            first += chunk.count;
        }
    }
    finish(run, task);
}

// What the chunk's windows meet, in a row for each column.
void WeightGradient::gather(const float* x, const Task& task, const Chunk& chunk) const {
    const std::int64_t taps = windows_.taps(), width = loops_.width;
    const std::int64_t vectors = ceil_div(chunk.count, width);
    LayJob job{};
    job.pieces = pieces_.data() + chunk.pieces;
    job.pieces_per_tap = pieces_per_tap_;
    job.table_taps = int(taps);
    job.taps = taps;
    job.channel_step = shape_.x_channel;
    job.step = windows_.step();
    job.k0 = task.column;
    job.k1 = task.column + task.columns;
    for (std::int64_t v = 0; v < vectors; v += kTileVectors) {
        const int some = int(std::min<std::int64_t>(kTileVectors, vectors - v));
        loops_.lay(job, x, some, task.panel + v * width, row_);
        job.pieces += some * taps * pieces_per_tap_;
    }
}

// The same windows of the outputs' gradients: where they are, if in one image, else a copy.
const float* WeightGradient::rows_of(const float* dy, const Task& task, std::int64_t first,
                                     std::int64_t count, std::int64_t* row) const {
    const std::int64_t windows = windows_.count();
    dy += (task.group * shape_.outputs + task.output) * shape_.dy_channel;
    if (first % windows + count <= windows) {
        *row = shape_.dy_channel;
        return dy + shape_.dy_images[std::size_t(first / windows)] + first % windows;
    }
    for (std::int64_t at = 0; at < count; at += windows) {
        const float* from = dy + shape_.dy_images[std::size_t((first + at) / windows)];
        for (std::int64_t o = 0; o < task.outputs; ++o, from += shape_.dy_channel) {
            std::copy(from, from + windows, task.rows + o * row_ + at);
        }
    }
    *row = row_;
    return task.rows;
}

// Calls body(output, how many, column, how many, their lanes) for each tile of sums.
template <class Body>
void WeightGradient::each_tile(const Task& task, const Body& body) const {
    const std::int64_t tall = ceil_div(task.outputs, loops_.dot_rows);
    const std::int64_t wide = ceil_div(task.columns, loops_.dot_columns);
    float* lanes = task.lanes;
    for (std::int64_t first = 0; first < wide; first += kTogether) {
        for (std::int64_t i = 0; i < tall; ++i) {
            const std::int64_t o = task.outputs * i / tall;
            const std::int64_t outputs = task.outputs * (i + 1) / tall - o;
            for (std::int64_t j = first; j < std::min(wide, first + kTogether); ++j) {
                const std::int64_t c = task.columns * j / wide;
                const std::int64_t columns = task.columns * (j + 1) / wide - c;
                body(o, int(outputs), c, int(columns), lanes);
                lanes += outputs * columns * loops_.width;
            }
        }
    }
}

void WeightGradient::finish(const WeightGradientRun& run, const Task& task) const {
    float* dw = run.dw + (task.group * shape_.outputs + task.output) * depth_ + task.column;
    each_tile(task, [&](std::int64_t o, int tall, std::int64_t c, int wide, const float* lanes) {
        float sums[kMaxDotRows * kMaxDotColumns];
        loops_.sum_lanes(lanes, tall * wide, sums);
        for (int i = 0; i < tall; ++i) {
            float* to = dw + (o + i) * depth_ + c;
            for (int j = 0; j < wide; ++j)
                to[j] = run.adds ? to[j] + sums[i * wide + j] : sums[i * wide + j];
        }
    });
}

}  // namespace graphc
