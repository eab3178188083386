// How ImplicitGemm runs a task: a block of columns (windows) by a part of the outputs.

#include <algorithm>

#include "kernels/implicit_gemm.h"
#include "kernels/parallel.h"

namespace graphc {

// Columns count through the windows of all images; those of one task with windows in lanes lie in
// one image. Panels, pieces and sums are the thread's own.
struct ImplicitGemm::Task {
    std::int64_t group;
    std::int64_t column, columns;
    std::int64_t output, outputs;
    float* panels;
    Piece* pieces;
    float* sums;
    WindowRun* runs;
};

// Products k0 .. k1-1 of every sum.
struct ImplicitGemm::Block {
    std::int64_t k0, k1;
    bool is_first, is_last;
    std::int64_t height() const { return k1 - k0; }
};

// Columns that are gathered side by side: `row` floats for each product, from `at` on.
struct ImplicitGemm::Strip {
    std::int64_t column, columns, row, at;
    int vectors;
};

void ImplicitGemm::run(const ImplicitGemmRun& run) const {
    if (columns_ == 0 || images_ == 0) return;
    const std::int64_t repeats = outputs_in_lanes_ ? 1 : images_;
    const std::int64_t tasks = repeats * shape_.groups * column_blocks_ * output_parts_;
    const std::size_t own_bytes = workspace() / std::size_t(shape_.threads);
    share_out(tasks, std::min(run.threads, shape_.threads), [&](std::int64_t number, int thread) {
        Task task = split(number);
        if (task.columns <= 0 || task.outputs <= 0) return;
        char* own = run.workspace + own_bytes * std::size_t(thread);
        task.panels = reinterpret_cast<float*>(own);
        task.pieces = reinterpret_cast<Piece*>(own + panel_bytes_);
        task.sums = reinterpret_cast<float*>(own + panel_bytes_ + table_bytes_);
        task.runs = reinterpret_cast<WindowRun*>(own + panel_bytes_ + table_bytes_ + sum_bytes_);
        run_task(run, task);
    });
}

// Parts of one block are neighbours, so that threads share what they gather from.
ImplicitGemm::Task ImplicitGemm::split(std::int64_t number) const {
    const std::int64_t part = number % output_parts_;
    number /= output_parts_;
    const std::int64_t block = number % column_blocks_;
    number /= column_blocks_;
    const auto cut = [](std::int64_t count, std::int64_t unit, std::int64_t pieces,
                        std::int64_t i) {
        return std::min(count, (count + unit - 1) / unit * i / pieces * unit);
    };
    Task task{};
    task.group = number % shape_.groups;
    const std::int64_t unit = outputs_in_lanes_ ? loops_.tile_rows : loops_.width;
    const std::int64_t first = cut(columns_, unit, column_blocks_, block);
    task.column = number / shape_.groups * columns_ + first;
    task.columns = cut(columns_, unit, column_blocks_, block + 1) - first;
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

void ImplicitGemm::run_task(const ImplicitGemmRun& run, const Task& task) const {
    const bool is_table_whole = windows_.taps() <= table_taps_;
    if (is_table_whole) make_table(task, 0, windows_.taps());
    if (!outputs_in_lanes_ && !windows_.is_dense() && run.residual) collect(run, task);
    for (std::int64_t i = 0; i < k_blocks_; ++i) {
        const Block block{depth_ * i / k_blocks_, depth_ * (i + 1) / k_blocks_, i == 0,
                          i + 1 == k_blocks_};
        const std::int64_t taps = windows_.taps();
        for (std::int64_t k = block.k0, stop = k; k < block.k1; k = stop) {
            // A table of some taps only serves one channel.
            stop = is_table_whole ? block.k1 : std::min(block.k1, (k / taps + 1) * taps);
            if (!is_table_whole) make_table(task, k % taps, k % taps + stop - k);
            gather(run, task, block, k, stop);
        }
        if (outputs_in_lanes_) {
            multiply_outputs(run, task, block);
        } else {
            multiply_windows(run, task, block);
        }
    }
    if (is_even_) return;
    if (outputs_in_lanes_ && windows_.is_dense()) {
        turn(run, task);
    } else if (outputs_in_lanes_ || !windows_.is_dense()) {
        scatter(run, task);
    }
}

std::int64_t ImplicitGemm::strips(const Task& task) const {
    const std::int64_t panel = kTileVectors * loops_.width;
    return outputs_in_lanes_ ? slivers(task.columns) : (task.columns + panel - 1) / panel;
}

ImplicitGemm::Strip ImplicitGemm::strip(const Task& task, std::int64_t height,
                                        std::int64_t i) const {
    const std::int64_t width = loops_.width, panel = kTileVectors * width;
    Strip made;
    if (outputs_in_lanes_) {
        made.column = sliver_start(task.columns, i);
        made.columns = sliver_start(task.columns, i + 1) - made.column;
        made.at = made.column * height + i * kMaxWidth;  // the last vector may run over the end
    } else {
        made.column = i * panel;
        made.columns = std::min(panel, task.columns - made.column);
        made.at = made.column * height;
    }
    made.vectors = int((made.columns + width - 1) / width);
    made.row = outputs_in_lanes_ ? made.columns : made.vectors * width;
    return made;
}

void ImplicitGemm::make_table(const Task& task, std::int64_t first_tap,
                              std::int64_t stop_tap) const {
    WindowRun runs[kMaxWidth];
    const std::int64_t width = loops_.width;
    Piece* to = task.pieces;
    for (std::int64_t i = 0; i < strips(task); ++i) {
        const Strip strip = this->strip(task, 0, i);
        for (std::int64_t c = 0; c < strip.columns; c += width) {
            const int count = windows_.cut(task.column + strip.column + c,
                                           std::min(width, strip.columns - c), runs);
            windows_.make_pieces(runs, count, shape_.x_images.data(), first_tap, stop_tap,
                                 pieces_per_tap_, to);
            to += table_taps_ * pieces_per_tap_;
        }
    }
}

void ImplicitGemm::gather(const ImplicitGemmRun& run, const Task& task, const Block& block,
                          std::int64_t k0, std::int64_t k1) const {
    const std::int64_t taps = windows_.taps();
    LayJob job{};
    job.pieces = task.pieces;
    job.pieces_per_tap = pieces_per_tap_;
    job.table_taps = int(table_taps_);
    job.first_tap = taps <= table_taps_ ? 0 : k0 % taps;
    job.taps = taps;
    job.channel_step = shape_.x_channel;
    job.step = windows_.step();
    job.k0 = k0;
    job.k1 = k1;
    const float* x = run.x + task.group * shape_.channels * shape_.x_channel;
    for (std::int64_t i = 0; i < strips(task); ++i) {
        const Strip strip = this->strip(task, block.height(), i);
        float* to = task.panels + strip.at + (k0 - block.k0) * strip.row;
        loops_.lay(job, x, strip.vectors, to, strip.row);
        job.pieces += strip.vectors * table_taps_ * pieces_per_tap_;
    }
}

// Rows of a tile are outputs, their weights in slivers; columns are windows.
void ImplicitGemm::multiply_windows(const ImplicitGemmRun& run, const Task& task,
                                    const Block& block) const {
    const std::int64_t width = loops_.width, output = task.group * shape_.outputs + task.output;
    const bool is_dense = windows_.is_dense();
    const std::size_t image = std::size_t(task.column / windows_.count());
    const std::int64_t column = task.column % windows_.count();
    TileStore store{};
    store.row = store.add_row = is_dense ? shape_.y_channel : most_columns_;
    float* c =
        is_dense ? run.y + shape_.y_images[image] + output * shape_.y_channel + column : task.sums;
    const float* add = block.is_first ? nullptr : c;
    if (block.is_first && run.residual) {
        add = is_dense ? run.residual + shape_.r_images[image] + output * shape_.r_channel + column
                       : task.sums;
        if (is_dense) store.add_row = shape_.r_channel;
    }
    const bool is_final = block.is_last && is_dense;
    store.activation = is_final ? run.activation : Activation::none;
    store.slope = run.slope;
    const float* packed = run.packed + task.group * (packed_size() / shape_.groups);
    const std::int64_t all = slivers(shape_.outputs);
    for (std::int64_t s = 0; s < all; ++s) {
        const std::int64_t start = sliver_start(shape_.outputs, s), down = start - task.output;
        if (down < 0 || down >= task.outputs) continue;
        const std::int64_t rows = sliver_start(shape_.outputs, s + 1) - start;
        const float* left = packed + start * depth_ + block.k0 * rows;
        if (is_final && run.bias) store.row_bias = run.bias + output + down;
        for (std::int64_t i = 0; i < strips(task); ++i) {
            const Strip strip = this->strip(task, block.height(), i);
            store.c = c + down * store.row + strip.column;
            if (add) store.add = add + down * store.add_row + strip.column;
            store.last = int(strip.columns - (strip.vectors - 1) * width);
            loops_.tile[rows - 1][strip.vectors - 1](block.height(), left, task.panels + strip.at,
                                                     store);
        }
    }
}

// Rows of a tile are windows; columns are outputs, their weights in panels.
void ImplicitGemm::multiply_outputs(const ImplicitGemmRun& run, const Task& task,
                                    const Block& block) const {
    const std::int64_t width = loops_.width, panel = kTileVectors * width;
    const float* packed = run.packed + task.group * (packed_size() / shape_.groups);
    const std::int64_t row = (task.outputs + width - 1) / width * width;
    for (std::int64_t o = 0; o < row; o += panel) {
        const int vectors = int(std::min(panel, row - o) / width);
        const float* right = packed + (task.output + o) * depth_ + block.k0 * vectors * width;
        for (std::int64_t i = 0; i < strips(task); ++i) {
            const Strip strip = this->strip(task, block.height(), i);
            TileStore store{};
            if (is_even_) {
                store = aim(run, task, block, strip, o);
            } else {
                store.c = task.sums + strip.column * row + o;
                store.row = store.add_row = row;
                store.add = block.is_first ? nullptr : store.c;
                store.last = int(width);
            }
            loops_.tile[strip.columns - 1][vectors - 1](block.height(), task.panels + strip.at,
                                                        right, store);
        }
    }
}

// Where a tile goes if windows are the rows of a matrix y, and outputs its columns.
TileStore ImplicitGemm::aim(const ImplicitGemmRun& run, const Task& task, const Block& block,
                            const Strip& strip, std::int64_t o) const {
    const std::size_t image = std::size_t(task.column + strip.column);
    const std::int64_t output = task.group * shape_.outputs + task.output + o;
    const auto pitch = [](const std::vector<std::int64_t>& images) {
        return images.size() > 1 ? images[1] - images[0] : 0;
    };
    TileStore store{};
    store.c = run.y + shape_.y_images[image] + output;
    store.row = store.add_row = pitch(shape_.y_images);
    store.add = block.is_first ? nullptr : store.c;
    if (block.is_first && run.residual) {
        store.add = run.residual + shape_.r_images[image] + output;
        store.add_row = pitch(shape_.r_images);
    }
    const std::int64_t panel = kTileVectors * loops_.width;
    store.last = int((std::min(panel, task.outputs - o) - 1) % loops_.width) + 1;
    if (!block.is_last) return store;
    store.column_bias = run.bias ? run.bias + output : nullptr;
    store.activation = run.activation;
    store.slope = run.slope;
    return store;
}

// The residual as the first summand, as it is where sums are made in place.
void ImplicitGemm::collect(const ImplicitGemmRun& run, const Task& task) const {
    const std::int64_t step = windows_.target_step(&WindowAxis::r_pitch);
    const int count = windows_.cut(task.column, task.columns, task.runs);
    for (std::int64_t o = 0; o < task.outputs; ++o) {
        const std::int64_t output = task.group * shape_.outputs + task.output + o;
        for (const WindowRun* part = task.runs; part < task.runs + count; ++part) {
            const float* from = run.residual + shape_.r_images[std::size_t(part->image)] +
                                output * shape_.r_channel +
                                windows_.target(*part, &WindowAxis::r_pitch);
            float* to = task.sums + o * most_columns_ + part->column;
            for (std::int64_t i = 0; i < part->count; ++i) to[i] = from[i * step];
        }
    }
}

// Puts sums with outputs in lanes where windows lie side by side, image by image.
void ImplicitGemm::turn(const ImplicitGemmRun& run, const Task& task) const {
    const std::int64_t width = loops_.width, windows = windows_.count();
    const std::int64_t row = (task.outputs + width - 1) / width * width;
    TileStore store{};
    store.row = shape_.y_channel;
    store.add_row = shape_.r_channel;
    store.activation = run.activation;
    store.slope = run.slope;
    for (std::int64_t c = 0, taken = 0; c < task.columns; c += taken) {
        const std::int64_t window = (task.column + c) % windows;
        const std::size_t image = std::size_t((task.column + c) / windows);
        taken = std::min({width, windows - window, task.columns - c});
        for (std::int64_t o = 0; o < task.outputs; o += width) {
            const std::int64_t output = task.group * shape_.outputs + task.output + o;
            store.c = run.y + shape_.y_images[image] + output * shape_.y_channel + window;
            if (run.residual) {
                store.add =
                    run.residual + shape_.r_images[image] + output * shape_.r_channel + window;
            }
            if (run.bias) store.row_bias = run.bias + output;
            loops_.turn(task.sums + c * row + o, row, int(taken),
                        int(std::min(width, task.outputs - o)), store);
        }
    }
}

// Puts the sums into their places, with what is still to be added.
void ImplicitGemm::scatter(const ImplicitGemmRun& run, const Task& task) const {
    const std::int64_t width = loops_.width;
    const std::int64_t row = (task.outputs + width - 1) / width * width;
    const std::int64_t output_step = outputs_in_lanes_ ? 1 : most_columns_;
    const std::int64_t column_step = outputs_in_lanes_ ? row : 1;
    const std::int64_t y_step = windows_.target_step(&WindowAxis::y_pitch);
    const std::int64_t r_step = windows_.target_step(&WindowAxis::r_pitch);
    const bool adds = outputs_in_lanes_ && run.residual;
    const int count = windows_.cut(task.column, task.columns, task.runs);
    for (std::int64_t o = 0; o < task.outputs; ++o) {
        const std::int64_t output = task.group * shape_.outputs + task.output + o;
        for (const WindowRun* part = task.runs; part < task.runs + count; ++part) {
            const std::size_t image = std::size_t(part->image);
            const float* from = task.sums + o * output_step + part->column * column_step;
            float* y = run.y + shape_.y_images[image] + output * shape_.y_channel +
                       windows_.target(*part, &WindowAxis::y_pitch);
            const float* residual = adds ? run.residual + shape_.r_images[image] +
                                               output * shape_.r_channel +
                                               windows_.target(*part, &WindowAxis::r_pitch)
                                         : nullptr;
            for (std::int64_t i = 0; i < part->count; ++i) {
                float value = from[i * column_step];
                if (residual) value += residual[i * r_step];
                if (run.bias) value += run.bias[output];
                y[i * y_step] = activate(value, run.activation, run.slope);
            }
        }
    }
}

}  // namespace graphc
