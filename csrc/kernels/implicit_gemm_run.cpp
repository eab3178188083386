// The two ways ImplicitGemm runs a task: with neighbouring windows in the lanes of a vector, or,
// where an image has few windows, with outputs.

#include <algorithm>

#include "kernels/implicit_gemm.h"
#include "kernels/parallel.h"

namespace graphc {

// Columns first .. stop-1, in units of a vector or a sliver, for outputs first .. stop-1.
struct ImplicitGemm::Task {
    std::int64_t image, group;
    std::int64_t column, columns;
    std::int64_t output, outputs;
};

namespace {

struct Block {
    std::int64_t k0, k1;
    bool is_first, is_last;
};

Block block_of(std::int64_t depth, std::int64_t blocks, std::int64_t i) {
    return {depth * i / blocks, depth * (i + 1) / blocks, i == 0, i + 1 == blocks};
}

}  // namespace

void ImplicitGemm::run(const ImplicitGemmRun& run) const {
    if (columns_ == 0 || images_ == 0) return;
    const std::int64_t repeats = outputs_in_lanes_ ? 1 : images_;
    const std::int64_t tasks = repeats * shape_.groups * column_blocks_ * output_parts_;
    const std::size_t own_bytes = workspace() / std::size_t(shape_.threads);
    share_out(tasks, std::min(run.threads, shape_.threads), [&](std::int64_t number, int thread) {
        const Task task = split(number);
        if (task.columns <= 0 || task.outputs <= 0) return;
        char* own = run.workspace + own_bytes * std::size_t(thread);
        if (outputs_in_lanes_) {
            run_outputs_in_lanes(run, task, own);
        } else {
            run_windows_in_lanes(run, task, own);
        }
    });
}

// Parts of one block lie together, so that threads share what they gather from.
ImplicitGemm::Task ImplicitGemm::split(std::int64_t number) const {
    const std::int64_t part = number % output_parts_;
    number /= output_parts_;
    const std::int64_t block = number % column_blocks_;
    number /= column_blocks_;
    const auto cut = [](std::int64_t count, std::int64_t unit, std::int64_t pieces,
                        std::int64_t i) {
        const std::int64_t units = (count + unit - 1) / unit;
        return std::min(count, units * i / pieces * unit);
    };
    Task task;
    task.group = number % shape_.groups;
    task.image = number / shape_.groups;
    const std::int64_t unit = outputs_in_lanes_ ? loops_.tile_rows : loops_.width;
    task.column = cut(columns_, unit, column_blocks_, block);
    task.columns = cut(columns_, unit, column_blocks_, block + 1) - task.column;
    if (outputs_in_lanes_) {
        const std::int64_t panel = kTileVectors * loops_.width;
        task.output = cut(shape_.outputs, panel, output_parts_, part);
        task.outputs = cut(shape_.outputs, panel, output_parts_, part + 1) - task.output;
    } else {
        const std::int64_t count = slivers(shape_.outputs);
        task.output = sliver_start(shape_.outputs, count * part / output_parts_);
        task.outputs =
            sliver_start(shape_.outputs, count * (part + 1) / output_parts_) - task.output;
    }
    return task;
}

void ImplicitGemm::run_windows_in_lanes(const ImplicitGemmRun& run, const Task& task,
                                        char* own) const {
    const std::int64_t width = loops_.width, taps = windows_.taps(), row_of_sums = most_columns_;
    float* panels = reinterpret_cast<float*>(own);
    Piece* pieces = reinterpret_cast<Piece*>(own + panel_bytes_);
    float* sums = reinterpret_cast<float*>(own + panel_bytes_ + table_bytes_);
    const bool is_dense = windows_.is_dense();
    const std::int64_t vectors = (task.columns + width - 1) / width;
    const float* x = run.x + shape_.x_images[std::size_t(task.image)] +
                     task.group * shape_.channels * shape_.x_channel;
    const float* packed = run.packed + task.group * (packed_size() / shape_.groups);
    const std::int64_t output = task.group * shape_.outputs + task.output;
    float* y = is_dense ? run.y + shape_.y_images[std::size_t(task.image)] +
                              output * shape_.y_channel + task.column
                        : sums;
    const std::int64_t y_row = is_dense ? shape_.y_channel : row_of_sums;
    const float* residual =
        is_dense && run.residual ? run.residual + shape_.r_images[std::size_t(task.image)] +
                                       output * shape_.r_channel + task.column
                                 : nullptr;
    const auto make_tables = [&](std::int64_t first_tap, std::int64_t stop_tap) {
        WindowRun runs[kMaxWidth];
        const std::int64_t zero = 0;
        for (std::int64_t v = 0; v < vectors; ++v) {
            const std::int64_t first = task.column + v * width;
            const int count = windows_.cut(first, std::min(width, columns_ - first), runs);
            windows_.make_pieces(runs, count, &zero, first_tap, stop_tap, pieces_per_tap_,
                                 pieces + v * table_taps_ * pieces_per_tap_);
        }
    };
    const bool is_small = taps <= table_taps_;
    if (is_small) make_tables(0, taps);
    for (std::int64_t b = 0; b < k_blocks_; ++b) {
        const Block block = block_of(depth_, k_blocks_, b);
        const std::int64_t height = block.k1 - block.k0;
        for (std::int64_t k = block.k0, stop = k; k < block.k1; k = stop) {
            stop = is_small ? block.k1 : std::min(block.k1, (k / taps + 1) * taps);
            const std::int64_t first_tap = is_small ? 0 : k % taps;
            if (!is_small) make_tables(first_tap, first_tap + stop - k);
            LayJob job{pieces, pieces_per_tap_, int(table_taps_), first_tap, taps,
                       shape_.x_channel, windows_.step(), k, stop};
            for (std::int64_t v = 0; v < vectors; v += kTileVectors) {
                const int wide = int(std::min<std::int64_t>(kTileVectors, vectors - v));
                job.pieces = pieces + v * table_taps_ * pieces_per_tap_;
                loops_.lay(job, x, wide, panels + v * width * height + (k - block.k0) * wide * width,
                           wide * width);
            }
        }
        const std::int64_t all = slivers(shape_.outputs);
        for (std::int64_t s = 0, start = 0; s < all; ++s, start = sliver_start(shape_.outputs, s)) {
            if (start < task.output || start >= task.output + task.outputs) continue;
            const std::int64_t rows = sliver_start(shape_.outputs, s + 1) - start;
            const float* left = packed + start * depth_ + block.k0 * rows;
            const std::int64_t down = start - task.output;
            for (std::int64_t v = 0; v < vectors; v += kTileVectors) {
                const int wide = int(std::min<std::int64_t>(kTileVectors, vectors - v));
                const bool has_tail = v + wide == vectors;
                TileStore store{};
                store.c = y + down * y_row + v * width;
                store.row = y_row;
                if (!block.is_first) {
                    store.add = store.c;
                    store.add_row = y_row;
                } else if (residual) {
                    store.add = residual + down * shape_.r_channel + v * width;
                    store.add_row = shape_.r_channel;
                }
                store.last = int(has_tail ? task.columns - (vectors - 1) * width : width);
                if (block.is_last && is_dense) {
                    if (run.bias) store.row_bias = run.bias + output + down;
                    store.activation = run.activation;
                    store.slope = run.slope;
                }
                loops_.tile[rows - 1][wide - 1](height, left, panels + v * width * height, store);
            }
        }
    }
    if (!is_dense) {
        WindowRun* runs = reinterpret_cast<WindowRun*>(reinterpret_cast<char*>(sums) + sum_bytes_);
        scatter(run, task, sums, row_of_sums, 1, runs);
    }
}

void ImplicitGemm::run_outputs_in_lanes(const ImplicitGemmRun& run, const Task& task,
                                        char* own) const {
    const std::int64_t width = loops_.width, taps = windows_.taps(), columns = task.columns;
    float* strips = reinterpret_cast<float*>(own);
    Piece* pieces = reinterpret_cast<Piece*>(own + panel_bytes_);
    float* sums = reinterpret_cast<float*>(own + panel_bytes_ + table_bytes_);
    const float* x = run.x + task.group * shape_.channels * shape_.x_channel;
    const float* packed = run.packed + task.group * (packed_size() / shape_.groups);
    const std::int64_t count = slivers(columns);
    const std::int64_t per_sliver = (loops_.tile_rows + width - 1) / width;
    const std::int64_t per_vector = table_taps_ * pieces_per_tap_;
    const auto make_tables = [&](std::int64_t first_tap, std::int64_t stop_tap) {
        WindowRun runs[kMaxWidth];
        for (std::int64_t s = 0; s < count; ++s) {
            const std::int64_t stop = sliver_start(columns, s + 1);
            std::int64_t at = sliver_start(columns, s);
            for (std::int64_t v = 0; at < stop; ++v, at += width) {
                const int made =
                    windows_.cut(task.column + at, std::min(width, stop - at), runs);
                windows_.make_pieces(runs, made, shape_.x_images.data(), first_tap, stop_tap,
                                     pieces_per_tap_, pieces + (s * per_sliver + v) * per_vector);
            }
        }
    };
    const bool is_small = taps <= table_taps_;
    if (is_small) make_tables(0, taps);
    const std::int64_t row_of_sums = (task.outputs + width - 1) / width * width;
    for (std::int64_t b = 0; b < k_blocks_; ++b) {
        const Block block = block_of(depth_, k_blocks_, b);
        const std::int64_t height = block.k1 - block.k0;
        for (std::int64_t k = block.k0, stop = k; k < block.k1; k = stop) {
            stop = is_small ? block.k1 : std::min(block.k1, (k / taps + 1) * taps);
            const std::int64_t first_tap = is_small ? 0 : k % taps;
            if (!is_small) make_tables(first_tap, first_tap + stop - k);
            LayJob job{pieces, pieces_per_tap_, int(table_taps_), first_tap, taps,
                       shape_.x_channel, windows_.step(), k, stop};
            for (std::int64_t s = 0; s < count; ++s) {
                const std::int64_t start = sliver_start(columns, s);
                const std::int64_t rows = sliver_start(columns, s + 1) - start;
                job.pieces = pieces + s * per_sliver * per_vector;
                loops_.lay(job, x, int((rows + width - 1) / width),
                           strips + start * height + s * kMaxWidth + (k - block.k0) * rows, rows);
            }
        }
        const std::int64_t panel = kTileVectors * width;
        for (std::int64_t o = 0; o < task.outputs; o += panel) {
            const int wide =
                int(std::min<std::int64_t>(kTileVectors, (row_of_sums - o) / width));
            const float* right =
                packed + (task.output + o) * depth_ + block.k0 * wide * width;
            for (std::int64_t s = 0; s < count; ++s) {
                const std::int64_t start = sliver_start(columns, s);
                const std::int64_t rows = sliver_start(columns, s + 1) - start;
                TileStore store{};
                store.c = sums + start * row_of_sums + o;
                store.row = store.add_row = row_of_sums;
                store.add = block.is_first ? nullptr : store.c;
                store.last = int(width);
                loops_.tile[rows - 1][wide - 1](height, strips + start * height + s * kMaxWidth,
                                                right, store);
            }
        }
    }
    WindowRun* runs = reinterpret_cast<WindowRun*>(reinterpret_cast<char*>(sums) + sum_bytes_);
    scatter(run, task, sums, 1, row_of_sums, runs);
}

void ImplicitGemm::scatter(const ImplicitGemmRun& run, const Task& task, const float* sums,
                           std::int64_t output_step, std::int64_t column_step,
                           WindowRun* runs) const {
    const std::int64_t y_step = windows_.target_step(&WindowAxis::y_pitch);
    const std::int64_t r_step = windows_.target_step(&WindowAxis::r_pitch);
    const int count = windows_.cut(task.column, task.columns, runs);
    for (std::int64_t o = 0; o < task.outputs; ++o) {
        const std::int64_t output = task.group * shape_.outputs + task.output + o;
        const float bias = run.bias ? run.bias[output] : 0.0f;
        for (int i = 0; i < count; ++i) {
            const std::size_t image = std::size_t(outputs_in_lanes_ ? runs[i].image : task.image);
            const float* from = sums + o * output_step + runs[i].column * column_step;
            float* y = run.y + shape_.y_images[image] + output * shape_.y_channel +
                       windows_.target(runs[i], &WindowAxis::y_pitch);
            const float* residual =
                run.residual ? run.residual + shape_.r_images[image] + output * shape_.r_channel +
                                   windows_.target(runs[i], &WindowAxis::r_pitch)
                             : nullptr;
            for (std::int64_t c = 0; c < runs[i].count; ++c) {
                float value = from[c * column_step];
                if (residual) value += residual[c * r_step];
                if (run.bias) value += bias;
                if (run.activation == Activation::rectify) value = value < 0 ? 0.0f : value;
                if (run.activation == Activation::leaky) value = value > 0 ? value : run.slope * value;
                y[c * y_step] = value;
            }
        }
    }
}

}  // namespace graphc
