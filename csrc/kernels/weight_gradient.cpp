#include "kernels/weight_gradient.h"

#include <algorithm>
#include <cstring>

#include "error.h"
#include "kernels/parallel.h"
#include "kernels/split.h"

namespace graphc {

namespace {

constexpr std::int64_t kPiece = 512;   // products, so that a tile's operands stay in the L1 cache
constexpr std::int64_t kOutputs = 96;  // whose pieces and sums stay in the L2 cache
constexpr std::int64_t kColumns = 24;

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
std::size_t lines(std::int64_t bytes) { return std::size_t(ceil_div(bytes, 64) * 64); }

}  // namespace

WeightGradient::WeightGradient(WeightGradientShape shape)
    : shape_(std::move(shape)),
      windows_(std::move(shape_.axes)),
      loops_(chosen_loops()),
      images_(std::int64_t(shape_.dy_images.size())),
      depth_(shape_.channels * windows_.taps()) {
    if (!windows_.is_dense()) throw Error("GC-A001", "windows that lie apart in dy");
    const std::int64_t windows = std::max<std::int64_t>(windows_.count(), 1);
    // Pieces of one image, all about as long; or as many whole images as fit.
    piece_ = windows > kPiece ? ceil_div(windows, ceil_div(windows, kPiece))
                              : std::max<std::int64_t>(kPiece / windows, 1) * windows;
    piece_ = std::max<std::int64_t>(std::min(piece_, windows * images_), 1);
    row_ = ceil_div(piece_, loops_.width) * loops_.width;
    output_parts_ = std::max<std::int64_t>(1, ceil_div(shape_.outputs, kOutputs));
    column_parts_ = std::max<std::int64_t>(1, ceil_div(depth_, kColumns));
    most_outputs_ = ceil_div(shape_.outputs, output_parts_);
    most_columns_ = ceil_div(depth_, column_parts_);
    const double sums = double(shape_.groups) * double(shape_.outputs) * double(depth_);
    shape_.threads = threads_for(0.02 * sums * double(windows) * double(images_), shape_.threads);
    const auto floats = [](std::int64_t count) {
        return lines(count * std::int64_t(sizeof(float)));
    };
    panel_bytes_ = floats(most_columns_ * row_);
    rows_bytes_ = windows < piece_ ? floats(most_outputs_ * row_) : 0;
    lane_bytes_ = floats(most_outputs_ * most_columns_ * loops_.width);
    const std::size_t runs = lines(std::int64_t(sizeof(WindowRun)) * windows_.most_runs(piece_));
    own_bytes_ = panel_bytes_ + rows_bytes_ + lane_bytes_ + runs;
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
                  task.runs = reinterpret_cast<WindowRun*>(own + lane_bytes_);
                  if (task.outputs > 0 && task.columns > 0) run_task(run, task);
              });
}

void WeightGradient::run_task(const WeightGradientRun& run, const Task& task) const {
    const std::int64_t windows = windows_.count(), all = windows * images_;
    const std::int64_t group = task.group * shape_.channels * shape_.x_channel;
    if (all == 0) std::memset(task.lanes, 0, lane_bytes_);
    for (std::int64_t first = 0, count = 0; first < all; first += count) {
        count = std::min(piece_, all - first);
        if (windows > piece_) count = std::min(count, windows - first % windows);
        const int runs = windows_.cut(first, count, task.runs);
        gather(run.x + group, task, runs);
        std::int64_t dy_row = 0;
        const float* dy = rows_of(run.dy, task, first, count, &dy_row);
        each_tile(task, [&](std::int64_t o, int tall, std::int64_t c, int wide, float* lanes) {
            const DotJob job{count, dy + o * dy_row, dy_row,    task.panel + c * row_,
                             row_,  lanes,           first == 0};
            loops_.dot[tall - 1][wide - 1](job);
        });
    }
    finish(run, task);
}

// What the windows of the runs meet, in a row for each column.
void WeightGradient::gather(const float* x, const Task& task, int runs) const {
    const std::int64_t taps = windows_.taps(), step = windows_.step();
    for (std::int64_t c = 0; c < task.columns; ++c) {
        const std::int64_t column = task.column + c, tap = column % taps;
        const float* channel = x + column / taps * shape_.x_channel;
        float* row = task.panel + c * row_;
        for (const WindowRun* part = task.runs; part < task.runs + runs; ++part) {
            const RowMeeting met = windows_.meet(part->row, tap);
            const std::int64_t stop = part->start + part->count;
            const std::int64_t low = std::clamp(met.low, part->start, stop);
            const std::int64_t high = std::clamp(met.high, low, stop);
            const float* from = channel + shape_.x_images[std::size_t(part->image)] + met.at;
            float* to = row + part->column - part->start;
            std::fill(to + part->start, to + low, 0.0f);
            if (step == 1) {
                std::copy(from + low, from + high, to + low);
            } else {
                for (std::int64_t p = low; p < high; ++p) to[p] = from[p * step];
            }
            std::fill(to + high, to + stop, 0.0f);
        }
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
    for (std::int64_t j = 0; j < wide; ++j) {
        const std::int64_t c = task.columns * j / wide;
        const std::int64_t columns = task.columns * (j + 1) / wide - c;
        for (std::int64_t i = 0; i < tall; ++i) {
            const std::int64_t o = task.outputs * i / tall;
            const std::int64_t outputs = task.outputs * (i + 1) / tall - o;
            body(o, int(outputs), c, int(columns), lanes);
            lanes += outputs * columns * loops_.width;
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
